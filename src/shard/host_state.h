// The optimizer's state in host memory while the model computes on a GPU. Gradients come down, are added up, squared and used by AdamW on
// the host's cores, and rounded weights go up, piece by piece, in a thread of its own behind the GPU's work.
//
// The thread takes jobs in the order in which the training thread leaves them, so every sum has one order. Its errors are thrown in the
// training thread, which is the only one that calls this class.
#pragma once
#include <array>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "shard/update_gate.h"
#include "shard/update_groups.h"

namespace rk {

// One optimizer step.
struct AdamWRule {
  double lr = 0, beta1 = 0.9, beta2 = 0.99, eps = 1e-18, weight_decay = 0;  // weight_decay: of parameters that decay
  Tensor decision;                                                          // kernels/step_control/op.h
};

class HostState {
 public:
  static constexpr int kSlots = 2;  // places on the GPU that gradients may come from at a time

  // This rank's part of one bucket.
  struct Part {
    int64_t n = 0;
    Tensor w;                         // [n] weights in the model's dtype on the GPU; null: they live here, too
    std::vector<UpdateGroup> groups;  // of AdamW
  };

  // threads: of the optimizer. narrow: dtype of weights.
  HostState(Gpu& gpu, DType narrow, const std::vector<Part>& parts, int threads);
  HostState(const HostState&) = delete;
  HostState& operator=(const HostState&) = delete;
  ~HostState();

  // Pinned memory that parts of these sizes take. holds_weights: their weights live here.
  static size_t n_bytes(const std::vector<int64_t>& sizes, DType narrow, bool holds_weights);
  size_t n_bytes() const { return memory_.size() + staging_.size(); }

  // In pinned memory. To be read or written when settle() has returned.
  struct Tensors {
    Tensor g, master, m, v;  // [n] f32
    Tensor w;                // [n] weights in the model's dtype, here or on the GPU
  };
  const Tensors& of(size_t part) const { return parts_[part].t; }
  void settle();
  // What updates of parts (buckets, by their numbers) wait for, in the thread of this class. While nothing is under way.
  void guard_updates(UpdateGate* gate) { gate_ = gate; }

  void start_step();
  // Gradients that will be complete when the work queued so far on the Gpu's stream and on after() is done. `from` [n] on the GPU, f32 or
  // bf16, belongs to slot `slot` and may be written again behind hold_until_taken(slot). first: they begin the step's sum; last: they end
  // it.
  void receive(size_t part, const Tensor& from, int slot, bool first, bool last);
  CUstream_st* after() const { return join_.stream(); }
  void hand_over(int slot);  // what was received for this slot
  // Waits here until the copies out of the slot are queued; `stream` waits until they are done.
  void hold_until_taken(int slot, CUstream_st* stream);
  // Waits for all gradients of the step. Sum of squares of this rank's.
  double squares();

  // AdamW on all parts in their order; rule.decision lies on the GPU. Returns at once.
  void update(const Exec& ex, const AdamWRule& rule);
  bool updated(size_t part);  // or none is under way
  // Waits here until the part's new weights are on their way; `stream` waits for their arrival (nothing where they live here).
  void hold_until_updated(size_t part, CUstream_st* stream);
  // Weights that live here to the GPU, behind its work so far; record_up() marks the moment when all that was brought is there.
  void bring_up(size_t part, const Tensor& to);
  void record_up(GpuEvent& there) { there.record(up_.stream()); }
  // The weights of a part from its master weights. Everything else is settled.
  void refresh(const Exec& ex, size_t part);

 private:
  // Consecutive elements of a part that are moved and computed at a time.
  struct Piece {
    size_t part;
    int64_t begin, n;
  };
  struct PartState {
    Tensors t;
    GpuEvent uploaded{GpuEvent::Use::order};
    size_t first_piece = 0, end_piece = 0;
  };
  struct Job {
    enum class Kind : uint8_t { gradients, slot_end, update } kind;
    size_t part = 0;
    Tensor from{};
    int slot = 0;
    bool first = false, last = false;
    AdamWRule rule{};
  };
  struct Slot {
    GpuEvent ready{GpuEvent::Use::order}, taken{GpuEvent::Use::order};
    bool open = false;  // its copies are not all queued
  };
  // A copy that comes down.
  struct Coming {
    GpuEvent arrived{GpuEvent::Use::order};
    Tensor staging;
    Tensor staged;  // null: straight to its place
    size_t piece = 0;
    bool first = false, last = false;
  };
  struct Going {
    GpuEvent left{GpuEvent::Use::order};
    Tensor staging;
  };

  void work();
  void do_job(const Job& job);
  void take_gradients(const Job& job);
  void finish_oldest();
  void update_parts(const Job& job);
  Tensor of_piece(const Tensor& of_part, const Piece& piece) const { return of_part.slice(piece.begin, piece.n); }
  void push(const Job& job);
  template <class Condition>
  void wait_for(const Condition& condition);

  Gpu& gpu_;
  Buffer memory_, staging_;
  std::deque<PartState> parts_;  // events do not move
  std::vector<Piece> pieces_;
  UpdateGroupTables groups_;  // by piece
  ThreadPool pool_;
  Arena scratch_;
  GpuStream join_, down_, up_;
  GpuEvent queued_{GpuEvent::Use::order}, decided_{GpuEvent::Use::order};
  Tensor decision_;
  std::array<Slot, kSlots> slots_;
  std::vector<Job> received_;
  std::deque<Coming> coming_;
  size_t n_coming_ = 0, oldest_ = 0;
  std::deque<Going> going_;
  size_t next_going_ = 0;
  double squares_ = 0;
  UpdateGate* gate_ = nullptr;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Job> ring_;  // jobs [taken_, pushed_) at number % size; the last taken one may be in work
  uint64_t pushed_ = 0, taken_ = 0, done_ = 0;
  size_t n_updated_ = 0;  // parts; all of them where no update is under way
  bool stop_ = false;
  std::exception_ptr error_;
  std::thread thread_;
};

}  // namespace rk
