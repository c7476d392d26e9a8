// From the projections of RWKV-7's time mix to the operands of the WKV-7 operator (golden rwkv7 §3.2, §5), per row and head:
//   w     = w0 + w_lora                                   raw decay, as the operator takes it; w, w_lora, w0 null: left out
//   alpha = sigmoid(a0 + a_lora)
//   u = k0 * k_k;  kappa = u / max(|u_head|, 1e-12)       uses k before the next line
//   k     = k0 * (1 + (alpha - 1) * k_a)
//   a     = -kappa;   b = kappa * alpha
//   v     = v0_in + (v_first - v0_in) * sigmoid(v0 + v_lora)      only where v_first is given; otherwise v is v0_in itself (not written)
// All of [R,C] in the model's dtype, heads of N channels; w0, a0, v0, k_k, k_a of C elements. On a GPU N is a multiple of 8.
// Backward takes the gradients of w, k, a, b, v and sets those of the inputs; parameter gradients are added; dv_first (accumulation
// dtype [R,C]) is added to. Everything is recomputed from the inputs; nothing but them is saved.
//   dw_lora = dw;  da_lora;  dk0;  dv0_in;  dv_lora
// dw0 is the sum of dw over rows. da_lora and dk0 may lie over dk, da or db, dw_lora over dw, dv0_in or dv_lora over dv.
#pragma once
#include "device/exec.h"

namespace rk {

struct Rwkv7PrepareForward {
  int64_t N = 64;
  Tensor k0, w_lora, a_lora;      // inputs
  Tensor v0_in, v_lora, v_first;  // v_lora, v_first null in layer 0
  Tensor w0, a0, v0, k_k, k_a;    // parameters
  Tensor w, k, a, b, v;           // outputs; v null in layer 0
};
struct Rwkv7PrepareBackward {
  int64_t N = 64;
  Tensor k0, a_lora, v0_in, v_lora, v_first;
  Tensor a0, v0, k_k, k_a;
  Tensor dw, dk, da, db, dv;         // incoming
  Tensor dw_lora, da_lora, dk0;      // set; dw_lora null: dw is it
  Tensor dv0_in, dv_lora, dv_first;  // dv0_in, dv_lora set, dv_first added; null in layer 0 (there dv0_in is dv itself)
  Tensor dw0, da0, dv0, dk_k, dk_a;  // added, accumulation dtype
};
void run(const Exec& ex, const Rwkv7PrepareForward& a);
void run(const Exec& ex, const Rwkv7PrepareBackward& a);

}  // namespace rk
