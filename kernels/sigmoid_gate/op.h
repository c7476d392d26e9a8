// A gate by receptance (golden rwkv456 §1, §2):  y = residual + sigmoid(r) * v;  residual null = zero.
// All hold the same number of elements in one dtype; y may alias any input.
// Backward sets dr = dy * v * s (1 - s) and dv = dy * s with s = sigmoid(r); either may alias r, v or dy; sets gated = s * v (null: not
// wanted; may alias nothing else). The gradient of the residual is dy itself.
#pragma once
#include "device/exec.h"

namespace rk {

struct SigmoidGateForward {
  Tensor r, v, residual, y;
};
struct SigmoidGateBackward {
  Tensor r, v, dy, dr, dv, gated;
};
void run(const Exec& ex, const SigmoidGateForward& a);
void run(const Exec& ex, const SigmoidGateBackward& a);

}  // namespace rk
