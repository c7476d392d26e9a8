// Where work runs: the first argument of every operator.
#pragma once
#include "device/buffer.h"
#include "device/gpu.h"
#include "device/thread_pool.h"

namespace rk {

// Sees every operator call begin and end; benches measure with it.
class OpWatch {
 public:
  virtual ~OpWatch() = default;
  // bytes: least traffic to and from device memory; flops: of matrix products.
  virtual void begin(const char* op, double bytes, double flops) = 0;
  virtual void end() = 0;
};

struct Exec {
  Device device = Device::cpu;
  ThreadPool* pool = nullptr;
  Arena* kept = nullptr;     // what lives from a unit's forward to its backward
  Arena* scratch = nullptr;  // what lives inside one call
  Gpu* gpu = nullptr;        // for Device::cuda: work is queued on its stream, and no operator waits for it
  bool tf32 = false;         // f32 matrix products may round their factors to tf32
  bool keep_less = false;    // units keep only what is dear to compute again
  OpWatch* watch = nullptr;

  // In a dry run arenas only count, and operators return before touching memory.
  bool dry() const { return scratch && scratch->measuring(); }
};

// Tells the watch about one operator call while it lives.
class OpScope {
 public:
  OpScope(const Exec& ex, const char* op, double bytes, double flops = 0) : watch_(ex.dry() ? nullptr : ex.watch) {
    if (watch_) watch_->begin(op, bytes, flops);
  }
  OpScope(const OpScope&) = delete;
  OpScope& operator=(const OpScope&) = delete;
  ~OpScope() {
    if (watch_) watch_->end();
  }

 private:
  OpWatch* watch_;
};

// to = from: same number of elements and type, on any two devices. With a GPU on either side the copy is queued on ex.gpu's stream; from or
// to memory of Device::cpu it is done on return, from pinned memory it is not.
void copy(const Exec& ex, const Tensor& from, const Tensor& to);
// The same between memory of GPUs and pinned memory, on any stream of the current GPU, by whichever thread.
void queue_copy(CUstream_st* stream, const Tensor& from, const Tensor& to);
// Waits for all queued work; nothing on the CPU.
void synchronize(const Exec& ex);

}  // namespace rk
