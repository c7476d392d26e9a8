// Layer norm, token shift and mixes in one pass (golden rwkv7 §3.2, §5).
//   z = (x - mean) * rstd * weight + bias over the last dimension (biased variance, eps inside the root), rounded to x's dtype
//   prev[b,t] = z[b,t-1], prev[b,0] = state_in[b] (zero when null);   y_m = z + (prev - z) * mu_m,  m = 0 .. n-1, 1 <= n <= 6
//   state_out[b] = z[b,T-1]  (null: not wanted)
// mu_of_self: the weights say how much of z itself is in the mix, RWKV-4 and 5's way: y_m = prev + (z - prev) * mu_m, and dmu_m goes with
// it. resets [B,T] u8, null = none: where it is not 0, prev is zero, at t = 0 instead of state_in; no gradient flows back from there. x,
// y_m [B,T,C]   weight, bias, mu_m [C] (any shape of C elements)   state_in, state_out [B,C], all in the model's dtype. Nothing is saved:
// backward forms z again from x. It adds to dx (which holds the gradient of the residual branch around this), dweight, dbias and dmu_m
// (accumulation dtype, [C]; a null one is left out), sets dstate_in [B,C] (accumulation dtype, may be null); dstate_out (accumulation
// dtype, may be null) is added to the gradient of z's last row. dx may not alias any dy_m. Sums over rows run in fixed blocks: the thread
// count does not change bits.
#pragma once
#include <array>

#include "device/exec.h"

namespace rk {

struct NormMixForward {
  Tensor x, weight, bias;
  double eps = 1e-5;
  Tensor state_in, state_out;
  int n = 0;
  bool mu_of_self = false;
  std::array<Tensor, 6> mu, y;
  Tensor resets;
};
struct NormMixBackward {
  Tensor x, weight, bias;
  double eps = 1e-5;
  Tensor state_in, dx, dstate_out, dstate_in;
  int n = 0;
  bool mu_of_self = false;
  std::array<Tensor, 6> mu, dmu, dy;
  Tensor dweight, dbias;
  Tensor resets;
};
void run(const Exec& ex, const NormMixForward& a);
void run(const Exec& ex, const NormMixBackward& a);

}  // namespace rk
