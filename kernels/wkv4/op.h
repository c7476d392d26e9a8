// The WKV-4 operator (golden rwkv456 §2): per channel c a mean of values, weighted by exp(key) and by age. With o = -exp(w) and true sums
// A, B of the tokens before t:
//   y_t = (A_t + e^{u + k_t} v_t) / (B_t + e^{u + k_t});   A_{t+1} = e^o A_t + e^{k_t} v_t;   B_{t+1} = e^o B_t + e^{k_t}
// A state holds (aa, bb, pp) with A = aa e^pp, B = bb e^pp, and pp the largest exponent so far, so that nothing overflows: of the start
// state max(pp + o, k_0), and so on. A state with bb = 0 is empty, whatever its pp.
// k, v, y [B,T,A] in the model's dtype; w raw (time_decay), u (time_first) of A elements in the model's dtype; states [B,A,3] in the
// accumulation dtype; any T >= 1, any A. state_in null = empty. state_out may be null; it may be state_in. saved_states (null when no
// backward follows) comes from take_wkv4_saved() and holds the state before every so many tokens, the start state first: backward needs
// neither state_in nor y, which it forms again without rounding. resets [B,T] u8, null = none: where it is not 0, the state is empty before
// the token, t = 0 included.
// Backward: dk, dv are set and alias no input; dw with respect to the raw w and du are added (accumulation dtype, A elements; null = left
// out). Gradients of states are [B,A,3]: with respect to aa and bb at fixed pp, and 0 in the third place, which is not read; dstate_out
// null = zero; dstate_in may be null, and is zero where the start state is empty. Sums have a fixed order: neither threads nor runs change
// bits.
#pragma once
#include "device/exec.h"

namespace rk {

// Room for the saved states of k of shape [B,T,A] and this dtype.
Tensor take_wkv4_saved(const Exec& ex, Arena& arena, DType dtype, const Shape& shape);

struct Wkv4Forward {
  Tensor k, v, w, u, y;
  Tensor state_in, state_out, saved_states;
  Tensor resets;
};
struct Wkv4Backward {
  Tensor k, v, w, u, saved_states;
  Tensor dy, dstate_out;
  Tensor dk, dv, dw, du, dstate_in;
  Tensor resets;
};
void run(const Exec& ex, const Wkv4Forward& a);
void run(const Exec& ex, const Wkv4Backward& a);

}  // namespace rk
