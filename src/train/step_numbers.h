// The numbers of a step beside its tensors, where the gradients are: sums, state and decision (kernels/step_control/op.h), and their copies
// on the host, which arrive behind the step without anyone waiting.
#pragma once
#include <array>
#include <cstdint>
#include <deque>

#include "device/exec.h"
#include "train/run_config.h"

namespace rk {

// A step's numbers as the host sees them when the step is done.
struct StepValues {
  double loss = 0, rank_loss = 0;  // sums of the step's losses over all ranks and of this one
  double norm = 0;                 // of the whole gradient, before clipping
  bool applied = false;            // finite: weights were changed
  double applied_scale = 1;        // loss scale that the gradients carried
  int64_t adam_t = 0;              // after the step
  double loss_scale = 1;           // of the next step
  int64_t good_steps = 0;          // finite ones since the scale changed
};

class StepNumbers {
 public:
  explicit StepNumbers(Device device);

  Tensor squares() const { return at(0, 1); }
  Tensor loss() const { return at(1, 1); }
  Tensor sums() const { return at(0, 2); }  // squares and loss: what ranks add up
  Tensor state() const;
  Tensor loss_scale() const;
  Tensor decision() const;

  void set_state(const Exec& ex, int64_t adam_t, double loss_scale, int64_t good_steps);
  void start_step(const Exec& ex);  // sums begin at zero
  // From the sums of all ranks what the step does to the weights. scaled: losses are.
  void decide(const Exec& ex, const RunConfig& config, bool scaled);
  void keep_rank_loss(const Exec& ex);  // the loss so far is this rank's own
  // Queues the copy of this step's numbers to the host; at most two steps wait to be collected.
  void queue_copy(const Exec& ex);
  StepValues collect();  // of the oldest step whose copy was queued; waits for it

 private:
  struct Slot {
    Buffer memory;
    std::deque<GpuEvent> arrived;  // one where the device is a GPU
  };
  Tensor at(int64_t first, int64_t n) const;

  Buffer memory_, zeros_;
  std::array<Slot, 2> slots_;
  int64_t queued_ = 0, collected_ = 0;
};

}  // namespace rk
