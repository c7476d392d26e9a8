// y = f(x A) B (+ bias): a product through a narrow middle.
#pragma once
#include <optional>

#include "kernels/activation/op.h"
#include "nn/linear.h"

namespace rk {

struct LowRankForward {
  Tensor x, hidden, y;  // [R,in], [R,width] (f(x A), kept for backward), [R,out]
  Tensor bias;          // [out] added to every row; null = none
};
struct LowRankBackward {
  Tensor x, hidden, dy, dx;  // dx may be x
  bool add_dx = false;
};

class LowRank {
 public:
  LowRank() = default;
  LowRank(Param& a, Param& b, std::optional<Activation> f) : a_(a, WeightLayout::in_out), b_(b, WeightLayout::in_out), f_(f) {}
  void forward(const Exec& ex, const LowRankForward& a) const;
  // y again from the hidden values that forward left; x is not read.
  void expand(const Exec& ex, const LowRankForward& a) const { b_.forward(ex, {.x = a.hidden, .y = a.y, .bias = a.bias}); }
  void backward(const Exec& ex, const LowRankBackward& a) const;
  int64_t width() const { return a_.n_out(); }

 private:
  Linear a_, b_;
  std::optional<Activation> f_;
};

}  // namespace rk
