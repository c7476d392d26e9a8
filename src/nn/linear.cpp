#include "nn/linear.h"

#include "kernels/gemm/op.h"
#include "nn/bound.h"

namespace rk {

void Linear::forward(const Exec& ex, const LinearForward& a) const {
  run(ex, Gemm{.a = a.x, .b = value(ex, *weight_), .c = a.y, .trans_b = layout_ == WeightLayout::out_in, .add = a.add});
}

void Linear::backward(const Exec& ex, const LinearBackward& a) const {
  const bool out_in = layout_ == WeightLayout::out_in;
  // The weight's gradient first: dx may lie over x.
  if (weight_->trainable)
    run(ex, Gemm{.a = out_in ? a.dy : a.x, .b = out_in ? a.x : a.dy, .c = grad(ex, *weight_), .trans_a = true, .add = true});
  run(ex, Gemm{.a = a.dy, .b = value(ex, *weight_), .c = a.dx, .trans_b = !out_in, .add = a.add_dx});
}

}  // namespace rk
