// Micro-batches of one step, laid out by segment of time.
#pragma once
#include <cstdint>
#include <vector>

#include "data/batch_source.h"
#include "device/buffer.h"
#include "nn/unit.h"

namespace rk {

struct BatchShape {
  int64_t micro = 1, B = 1, T = 1, segment = 1;  // segment: tokens of a time segment; the last may be shorter
  int64_t n_segments() const { return (T + segment - 1) / segment; }
};

// Owner of the tokens, targets and weights of a rank's micro-batches. Filling allocates nothing.
class Batcher {
 public:
  explicit Batcher(BatchShape shape);

  // Row j of micro-batch m = sample number(m, j) of `source`; a negative number leaves the row without targets.
  template <class Number>
  void fill(const BatchSource& source, const Number& number) {
    n_targets_ = 0;
    for (int64_t m = 0; m < shape_.micro; ++m)
      for (int64_t j = 0; j < shape_.B; ++j) put(m, j, source, number(m, j));
  }
  double n_targets() const { return n_targets_; }                   // sum of the weights of counted targets
  const std::vector<int64_t>& offsets() const { return offsets_; }  // token offset of each row, [micro * B]
  void scale(double scale, double l2_scale, Tensor loss_sum);       // into every segment
  const std::vector<std::vector<Segment>>& micro() const { return segments_; }
  const BatchShape& shape() const { return shape_; }
  size_t n_bytes() const { return memory_.size(); }

 private:
  void put(int64_t m, int64_t row, const BatchSource& source, int64_t number);

  BatchShape shape_;
  Buffer memory_;
  std::vector<std::vector<Segment>> segments_;  // [micro][segment]
  std::vector<int32_t> tokens_, targets_;       // one sample
  std::vector<float> weights_;
  std::vector<int64_t> offsets_;
  double n_targets_ = 0;
};

}  // namespace rk
