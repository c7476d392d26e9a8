#include "kernels/step_control/op.h"

#include "kernels/common/dispatch.h"
#include "kernels/step_control/rule.h"

namespace rk {
namespace cuda {
void run(const Exec& ex, const StepControl& a);
}

void run(const Exec& ex, const StepControl& a) {
  for (const Tensor* t : {&a.squares, &a.loss}) require(t->dtype == DType::f64 && t->numel() == 1, "squares and loss are one double each");
  require(a.state.dtype == DType::f64 && a.state.numel() == kStepStates, "the state of a run's steps is its doubles");
  require(a.decision.dtype == DType::f64 && a.decision.numel() == kStepDecisions, "a decision is its doubles");
  require(a.beta1 >= 0 && a.beta1 < 1 && a.beta2 >= 0 && a.beta2 < 1, "averages of gradients forget");
  const OpScope scope(ex, "step_control", (2 + 2 * kStepStates + kStepDecisions) * 8.0);
  if (ex.dry()) return;
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  const StepRule rule{a.grad_clip, a.beta1, a.beta2, static_cast<double>(a.growth_interval)};
  rule(*a.squares.as<double>(), *a.loss.as<double>(), a.state.as<double>(), a.decision.as<double>());
}

}  // namespace rk
