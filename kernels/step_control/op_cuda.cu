#include "kernels/common/launch.cuh"
#include "kernels/step_control/rule.h"

namespace rk::cuda {
namespace {

__global__ void decide(StepRule rule, const double* squares, const double* loss, double* state, double* decision) {
  rule(*squares, *loss, state, decision);
}

}  // namespace

void run(const Exec& ex, const StepControl& a) {
  const StepRule rule{a.grad_clip, a.beta1, a.beta2, static_cast<double>(a.growth_interval)};
  launch(ex, decide, {.grid = 1, .block = 1}, rule, a.squares.as<double>(), a.loss.as<double>(), a.state.as<double>(),
         a.decision.as<double>());
}

}  // namespace rk::cuda
