// The rule of step_control, the same for every device.
#pragma once
#include <cmath>

#include "base/any_device.h"
#include "kernels/step_control/op.h"

namespace rk {

struct StepRule {
  double grad_clip, beta1, beta2, growth_interval;

  ROOKERY_ANY_DEVICE void operator()(double squares, double loss, double* state, double* decision) const {
    const double scale = state[kLossScale];
    const double norm = std::sqrt(squares) / scale;
    const bool finite = std::isfinite(norm) && std::isfinite(loss);
    const double over = grad_clip > 0 ? (norm + 1e-6) / grad_clip : 0;
    const double t = state[kAdamT] + (finite ? 1 : 0);
    const double counted = t < 1 ? 1 : t;
    decision[kNorm] = norm;
    decision[kGradScale] = finite ? 1 / ((over > 1 ? over : 1) * scale) : 0;
    decision[kApply] = finite ? 1 : 0;
    decision[kBias1] = 1 / (1 - std::pow(beta1, counted));
    decision[kBias2] = 1 / (1 - std::pow(beta2, counted));
    decision[kAppliedScale] = scale;
    state[kAdamT] = t;
    if (growth_interval > 0) adapt_scale(finite, state);
  }

 private:
  ROOKERY_ANY_DEVICE void adapt_scale(bool finite, double* state) const {
    if (!finite) {
      state[kLossScale] = state[kLossScale] > 2 ? state[kLossScale] / 2 : 1;
      state[kGoodSteps] = 0;
    } else if (state[kGoodSteps] + 1 >= growth_interval) {
      state[kLossScale] *= 2;
      state[kGoodSteps] = 0;
    } else {
      state[kGoodSteps] += 1;
    }
  }
};

}  // namespace rk
