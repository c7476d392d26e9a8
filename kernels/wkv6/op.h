// The WKV-6 operator, and WKV-5, which is the same with one decay for all tokens (golden rwkv456 §3, §4). Per batch element and head, state
// S [N,N] (i = value row, j = key column):
//   d_t = exp(-exp(w_t));   y_t[i] = sum_j r_t[j] (S_t[i][j] + u[j] k_t[j] v_t[i]);   S_{t+1}[i][j] = d_t[j] S_t[i][j] + k_t[j] v_t[i]
// r, k, v, y [B,T,H,N] in the model's dtype; w raw, of the model's dtype: [B,T,H,N] (WKV-6) or [H,N] (WKV-5: every token's);
// u [H,N] in the model's dtype; states [B,H,N,N] in the accumulation dtype; any T >= 1, N any multiple of 8 up to 256. d is formed in the
// accumulation dtype. state_in null = zero. state_out may be null; it may be state_in. saved_states (null when no backward follows) comes
// from take_wkv6_saved(). resets [B,T] u8, null = none: where it is not 0, S is zero before the token, t = 0 included: what came before,
// state_in with it, has no part in what follows, nor in its gradients. (On a GPU numbers that are not finite may reach other documents of
// their row.) Backward: dstate_out null = zero; dstate_in may be null; dr, dk, dv are set, and dw with respect to the raw w: set where w is
// [B,T,H,N] (model's dtype), added where it is [H,N] (accumulation dtype, summed over tokens; null = left out). du [H,N] (accumulation
// dtype) is added; null = left out. dr, dk, dv, dw may not alias inputs. Sums have a fixed order: neither threads nor runs change bits.
#pragma once
#include "device/exec.h"

namespace rk {

inline constexpr int64_t kWkv6Chunk = 16;  // tokens between saved states, but for the chunked kernels of a GPU

// Room for the saved states of r, k, ... of shape [B,T,H,N] and this dtype.
Tensor take_wkv6_saved(const Exec& ex, Arena& arena, DType dtype, const Shape& shape);

struct Wkv6Forward {
  Tensor r, k, v, w, u, y;
  Tensor state_in, state_out, saved_states;
  Tensor resets;
};
struct Wkv6Backward {
  Tensor r, k, v, w, u, saved_states;
  Tensor dy, dstate_out;
  Tensor dr, dk, dv, dw, du, dstate_in;
  Tensor resets;
};
void run(const Exec& ex, const Wkv6Forward& a);
void run(const Exec& ex, const Wkv6Backward& a);

}  // namespace rk
