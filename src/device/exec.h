// Where work runs: the first argument of every operator.
#pragma once
#include <array>

#include "device/buffer.h"
#include "device/gpu.h"
#include "device/thread_pool.h"

namespace rk {

// What an operator's speed depends on beside its traffic and arithmetic: M, N, K of a product, B, H, T of WKV-7; zeros for the others.
using OpSizes = std::array<int64_t, 3>;

// Sees every operator call begin and end, those of dry runs, too; benches measure with it, plans count.
class OpWatch {
 public:
  virtual ~OpWatch() = default;
  // bytes: least traffic to and from device memory; flops: of matrix products.
  virtual void begin(const char* op, double bytes, double flops) = 0;
  virtual void sizes(const OpSizes& /*of the call that has begun*/) {}
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
  OpScope(const Exec& ex, const char* op, double bytes, double flops = 0, const OpSizes& sizes = {}) : watch_(ex.watch) {
    if (!watch_) return;
    watch_->begin(op, bytes, flops);
    watch_->sizes(sizes);
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
