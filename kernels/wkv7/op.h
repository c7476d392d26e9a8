// The WKV-7 operator (golden rwkv7 §4). Per batch element and head, state S [N,N] (i = value row, j = key column):
//   d_t = exp(-exp(-0.5) * sigmoid(w_t));   sa_t = S_{t-1} a_t
//   S_t = S_{t-1} diag(d_t) + sa_t b_t^T + v_t k_t^T;   y_t = S_t r_t
// r, w, k, v, a, b, y [B,T,H,N] in the model's dtype, w raw; states [B,H,N,N] in the accumulation dtype; any T >= 1, N any multiple of 8 up
// to 256. state_in null = zero. state_out may be null. saved_states (null when no backward follows) comes from
// take_wkv7_saved() and keeps S before every chunk of some positions, so that backward recomputes chunks without divisions: kWkv7Chunk
// positions and the accumulation dtype, or on a GPU what its kernels for these sizes agree on. resets [B,T] u8, null = none: where it is
// not 0, S is zero before the token, t = 0 included: what came before, state_in with it, has no part in what follows, nor in its gradients.
// Backward gets the same. (On a GPU numbers that are not finite may reach other documents of their row.) Backward: dstate_out null = zero;
// dstate_in may be null; gradients of all inputs are set (dw with respect to the raw w); where dr_more, dk_more, dv_more are given (dr's
// dtype and size; may be dr, dk, dv themselves), they are added to dr, dk, dv before rounding.
#pragma once
#include "device/exec.h"

namespace rk {

inline constexpr int64_t kWkv7Chunk = 16;

// Room for the saved states of r, w, ... of shape [B,T,H,N] and this dtype.
Tensor take_wkv7_saved(const Exec& ex, Arena& arena, DType dtype, const Shape& shape);

struct Wkv7Forward {
  Tensor r, w, k, v, a, b, y;
  Tensor state_in, state_out, saved_states;
  Tensor resets;
};
struct Wkv7Backward {
  Tensor r, w, k, v, a, b, saved_states;
  Tensor dy, dstate_out;
  Tensor dr, dw, dk, dv, da, db, dstate_in;
  Tensor dr_more, dk_more, dv_more;
  Tensor resets;
};
void run(const Exec& ex, const Wkv7Forward& a);
void run(const Exec& ex, const Wkv7Backward& a);

}  // namespace rk
