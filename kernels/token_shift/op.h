// Token shift and mixes (golden rwkv7 §3.2, §5; rwkv456 §1, §4).
//   prev[b,t] = x[b,t-1], prev[b,0] = state_in[b] (zero when null);  y_m = x + (prev - x) * (mu_m + more_m),  m = 0 .. n-1, n <= 6
//   state_out[b] = x[b,T-1]
// mu_of_self: the weights say how much of x itself is in the mix, RWKV-4 and 5's way: y_m = prev + (x - prev) * mu_m, and dmu_m goes with
// it. resets [B,T] u8, null = none: where it is not 0, prev is zero, at t = 0 instead of state_in; no gradient flows back from there. x,
// y_m [B,T,C]   mu_m [C] (any shape of C elements)   state_in, state_out [B,C] in x's dtype. more_m [B,T,C], null = none (of all m or of
// none): a part of the weight that depends on the token; y_m may be more_m itself.
// Backward sets dx (may not alias any dy_m; added where add_dx), adds to dmu_m (accumulation dtype, [C]; a null one is left out), sets
// dmore_m (where more is given; may be dy_m), sets dstate_in [B,C] (accumulation dtype, may be null); dstate_out (accumulation dtype, may
// be null) is added to dx's last row.
#pragma once
#include <array>

#include "device/exec.h"

namespace rk {

struct TokenShiftForward {
  Tensor x, state_in, state_out;
  int n = 0;
  bool mu_of_self = false;
  std::array<Tensor, 6> mu, y, more;
  Tensor resets;
};
struct TokenShiftBackward {
  Tensor x, state_in, dx, dstate_out, dstate_in;
  int n = 0;
  bool mu_of_self = false;
  std::array<Tensor, 6> mu, dmu, dy, more, dmore;
  bool add_dx = false;
  Tensor resets;
};
void run(const Exec& ex, const TokenShiftForward& a);
void run(const Exec& ex, const TokenShiftBackward& a);

}  // namespace rk
