// Layer norm over the last dimension, biased variance, eps inside the root.
//   y = (x - mean) * rstd * weight + bias            x, y [R,C]   weight, bias [C]   mean, rstd [R] accumulation dtype, saved
// Backward: dx is set, or added where add_dx (dx may then hold the gradient of a residual branch); dweight, dbias (accumulation
// dtype) are added; rows are summed in fixed blocks, so that the thread count does not change bits.
// y may alias x only when nothing is saved; dx may alias dy.
#pragma once
#include "device/exec.h"

namespace rk {

struct LayerNormForward {
  Tensor x, weight, bias, y, mean, rstd;
  double eps = 1e-5;
};
struct LayerNormBackward {
  Tensor x, weight, mean, rstd, dy, dx, dweight, dbias;
  bool add_dx = false;
};
void run(const Exec& ex, const LayerNormForward& a);
void run(const Exec& ex, const LayerNormBackward& a);

}  // namespace rk
