// Micro-batches of one step, laid out by segment of time, in the memory of the device that computes.
#pragma once
#include <cstdint>
#include <deque>
#include <vector>

#include "data/batch_source.h"
#include "device/exec.h"
#include "nn/unit.h"
#include "train/step_dropout.h"

namespace rk {

struct BatchShape {
  int64_t micro = 1, B = 1, T = 1, segment = 1;  // segment: tokens of a time segment; the last may be shorter
  bool resets = false;                           // states start anew where the source says that a document begins
  int64_t n_segments() const { return (T + segment - 1) / segment; }
};

// What the head is told of the loss (nn/unit.h).
struct LossTerms {
  double scale = 0, l2_scale = 0;
  Tensor loss_scale, loss_sum;  // loss_sum [1], or one for each micro-batch m, at loss_first + m * loss_step
  int64_t loss_first = 0, loss_step = 0;
};

// Owner of the tokens, targets, weights and resets of a rank's micro-batches. Filling allocates nothing. For a GPU rows are put into one of
// two pinned sets in turn and copied on its stream, so that the host fills the next step's while the GPU is at work on this one's.
class Batcher {
 public:
  explicit Batcher(BatchShape shape, Device device = Device::cpu);

  // Row j of micro-batch m = sample number(m, j) of `source`; a negative number leaves the row empty: it adds nothing to loss and
  // gradients.
  template <class Number>
  void fill(const Exec& ex, const BatchSource& source, const Number& number) {
    begin_fill();
    for (int64_t m = 0; m < shape_.micro; ++m)
      for (int64_t j = 0; j < shape_.B; ++j) put(m, j, source, number(m, j));
    end_fill(ex);
  }
  double n_targets() const { return n_targets_; }                   // sum of the weights of counted targets
  const std::vector<int64_t>& offsets() const { return offsets_; }  // token offset of each row, [micro * B]
  void scale(const LossTerms& terms);                               // into every segment
  void drop(const StepDropout& rule);
  const std::vector<std::vector<Segment>>& micro() const { return segments_; }
  const BatchShape& shape() const { return shape_; }
  static size_t n_bytes(const BatchShape& shape) {
    return static_cast<size_t>(shape.micro * shape.B * shape.T) * (2 * sizeof(int32_t) + sizeof(float) + (shape.resets ? 1 : 0));
  }

 private:
  // Host memory of one fill, and when it has been copied.
  struct Pinned {
    Buffer memory;
    GpuEvent copied;
  };
  void begin_fill();
  void end_fill(const Exec& ex);
  void put(int64_t m, int64_t row, const BatchSource& source, int64_t number);

  BatchShape shape_;
  Buffer memory_;
  std::deque<Pinned> pinned_;                   // none where memory_ is the host's
  size_t current_ = 0;                          // of pinned_
  std::byte* filled_ = nullptr;                 // host memory laid out like memory_
  std::vector<std::vector<Segment>> segments_;  // [micro][segment]
  std::vector<int32_t> tokens_, targets_;       // one sample
  std::vector<float> weights_;
  std::vector<uint8_t> resets_;  // empty: not wanted
  std::vector<int64_t> offsets_;
  double n_targets_ = 0;
};

}  // namespace rk
