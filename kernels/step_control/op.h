// What a step does to the weights, decided where the gradients are, so that no host waits for it (golden rwkv7 §10; a step whose loss or
// norm is not finite changes no weight).
//   norm = sqrt(squares) / loss_scale;   finite = both norm and loss are
//   clip = max(1, (norm + 1e-6) / grad_clip), 1 where grad_clip is 0;   grad_scale = finite ? 1 / (clip * loss_scale) : 0
//   t += finite;   bias1 = 1 / (1 - beta1^t), bias2 = 1 / (1 - beta2^t); before the first update as at it
// Dynamic loss scaling, where growth_interval > 0: a step that is not finite halves loss_scale (not below 1) and sets good = 0; a
// finite one counts good up and at growth_interval doubles loss_scale and sets good = 0. Otherwise loss_scale stays.
// squares [1], loss [1] f64: sum over all gradients, loss of the step. All f64, on the device of the gradients.
#pragma once
#include "device/exec.h"

namespace rk {

// Elements of `state`, which lives as long as the run and is saved with it. t counts updates; loss_scale begins at 1 or at fp16's start.
enum StepState : int64_t { kAdamT, kLossScale, kGoodSteps, kStepStates };
// Elements of `decision`. kAppliedScale: the loss scale that this step's gradients carry.
enum StepDecision : int64_t { kNorm, kGradScale, kApply, kBias1, kBias2, kAppliedScale, kStepDecisions };

struct StepControl {
  Tensor squares, loss;    // in
  Tensor state, decision;  // [kStepStates] in and out, [kStepDecisions] out
  double grad_clip = 0, beta1 = 0.9, beta2 = 0.99;
  int64_t growth_interval = 0;
};
void run(const Exec& ex, const StepControl& a);

}  // namespace rk
