#include "nn/linear.h"

#include "kernels/gemm/op.h"
#include "nn/bound.h"

namespace rk {

// This matrix of the weight's value or gradient.
Tensor Linear::matrix(const Tensor& all) const {
  if (weight_->shape.rank == 2) return all;
  const int64_t rows = weight_->shape[1], cols = weight_->shape[2];
  return all.slice(part_ * rows * cols, rows * cols).view({rows, cols});
}

void Linear::forward(const Exec& ex, const LinearForward& a) const {
  run(ex, Gemm{.a = a.x,
               .b = matrix(value(ex, *weight_)),
               .c = a.y,
               .trans_b = layout_ == WeightLayout::out_in,
               .add = a.add,
               .base = a.residual,
               .bias = a.bias});
}

void Linear::backward_input(const Exec& ex, const LinearBackwardInput& a) const {
  run(ex, Gemm{.a = a.dy, .b = matrix(value(ex, *weight_)), .c = a.dx, .trans_b = layout_ == WeightLayout::in_out, .add = a.add_dx});
}

void Linear::backward_weight(const Exec& ex, const LinearBackwardWeight& a) const {
  if (!weight_->trainable) return;
  const bool out_in = layout_ == WeightLayout::out_in;
  run(ex, Gemm{.a = out_in ? a.dy : a.x, .b = out_in ? a.x : a.dy, .c = matrix(grad(ex, *weight_)), .trans_a = true, .add = true});
}

void Linear::backward(const Exec& ex, const LinearBackward& a) const {
  backward_weight(ex, {.x = a.x, .dy = a.dy});  // first: dx may lie over x
  backward_input(ex, {.dy = a.dy, .dx = a.dx, .add_dx = a.add_dx});
}

}  // namespace rk
