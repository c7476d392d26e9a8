// Layer norm with its two parameters.
#pragma once
#include "kernels/layer_norm/op.h"
#include "nn/bound.h"

namespace rk {

// Statistics of rows; small, so that they are kept or formed again as it suits.
struct NormStats {
  Tensor mean, rstd;  // [R] accumulation dtype
};
inline NormStats take_norm_stats(Arena& arena, DType dtype, int64_t R) {
  return {arena.take(acc_dtype(dtype), {R}), arena.take(acc_dtype(dtype), {R})};
}

struct NormForward {
  Tensor x, y;
  NormStats stats;
};
struct NormBackward {
  Tensor x;
  NormStats stats;
  Tensor dy, dx;
  bool add_dx = false;
};

class Norm {
 public:
  Norm() = default;
  Norm(Param& weight, Param& bias) : weight_(&weight), bias_(&bias) {}
  void forward(const Exec& ex, const NormForward& a) const {
    run(ex, LayerNormForward{
                .x = a.x, .weight = value(ex, *weight_), .bias = value(ex, *bias_), .y = a.y, .mean = a.stats.mean, .rstd = a.stats.rstd});
  }
  void backward(const Exec& ex, const NormBackward& a) const {
    run(ex, LayerNormBackward{.x = a.x,
                              .weight = value(ex, *weight_),
                              .mean = a.stats.mean,
                              .rstd = a.stats.rstd,
                              .dy = a.dy,
                              .dx = a.dx,
                              .dweight = grad(ex, *weight_),
                              .dbias = grad(ex, *bias_),
                              .add_dx = a.add_dx});
  }

 private:
  Param *weight_ = nullptr, *bias_ = nullptr;
};

}  // namespace rk
