// Group norm of an operator's output and its gate (golden rwkv456 §3, §4), per row and group of N channels, biased variance:
//   out = GroupNorm(y; weight, bias, eps) * f(g),   f = silu or the identity
// y, g, out [R,C] in the model's dtype; weight, bias [C]. Statistics are recomputed in backward.
// Backward sets dy and dg (the gradient of g itself, before f), sets out again (null: not wanted; what the product behind it needs for its
// weight), and adds to dweight, dbias (accumulation dtype, [C]; a null one is left out). dg may alias dout; dy and out may not. On a GPU N is
// a multiple of 8. Rows are summed in fixed blocks: the thread count does not change bits.
#pragma once
#include "device/exec.h"

namespace rk {

enum class Gate : uint8_t { silu, identity };

struct GroupNormGateForward {
  int64_t N = 64;
  double eps = 64e-5;
  Gate f = Gate::silu;
  Tensor y, g, weight, bias, out;
};
struct GroupNormGateBackward {
  int64_t N = 64;
  double eps = 64e-5;
  Gate f = Gate::silu;
  Tensor y, g, weight, bias, dout, out;
  Tensor dy, dg, dweight, dbias;
};
void run(const Exec& ex, const GroupNormGateForward& a);
void run(const Exec& ex, const GroupNormGateBackward& a);

}  // namespace rk
