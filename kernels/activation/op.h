// Element-wise activations.
//   tanh, sigmoid, relu2 (relu(x)^2).
// Forward: y = f(x), y may alias x. Backward: dx = dy * f'(x), expressed through the forward's OUTPUT y (relu2: f' = 2 sqrt(y));
// dx may alias dy. x, y, dy, dx hold the same number of elements and one dtype.
#pragma once
#include "device/exec.h"

namespace rk {

enum class Activation : uint8_t { tanh, sigmoid, relu2 };

struct ActivationForward {
  Activation f;
  Tensor x, y;
};
struct ActivationBackward {
  Activation f;
  Tensor y, dy, dx;
};
void run(const Exec& ex, const ActivationForward& a);
void run(const Exec& ex, const ActivationBackward& a);

}  // namespace rk
