// Group norm of the operator's output, bonus and gate (golden rwkv7 §3.2, §5), per row and head of N channels:
//   z = GroupNorm(y; weight, bias, eps) + (sum_j r_j k_j r_k[h,j]) * v;   out = z * g
// y, r, k, v, g, out [R,C] in the model's dtype; weight, bias [C]; r_k [H,N]. Statistics are recomputed in backward.
// Backward also sets out again (null: not wanted; what the product behind it needs for its weight). It sets dy, dg, adds into dr, dk, dv
// (which already hold the operator's gradients, add = true) or sets them, and adds to dweight, dbias, dr_k (accumulation dtype).
// dg may alias dout; dy and out may not. On a GPU N is a multiple of 8.
#pragma once
#include "device/exec.h"

namespace rk {

struct Rwkv7OutputForward {
  int64_t N = 64;
  double eps = 64e-5;
  Tensor y, r, k, v, g, weight, bias, r_k, out;
};
struct Rwkv7OutputBackward {
  int64_t N = 64;
  double eps = 64e-5;
  Tensor y, r, k, v, g, weight, bias, r_k, dout, out;
  Tensor dy, dr, dk, dv, dg;
  bool add = false;  // add to dr, dk, dv instead of setting them
  Tensor dweight, dbias, dr_k;
};
void run(const Exec& ex, const Rwkv7OutputForward& a);
void run(const Exec& ex, const Rwkv7OutputBackward& a);

}  // namespace rk
