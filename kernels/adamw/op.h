// One AdamW step on a flat run of parameters (golden rwkv7 §10).
//   g' = g * grad_scale;  m = beta1 m + (1-beta1) g';  v = beta2 v + (1-beta2) g'^2
//   u = m * bias1 / (sqrt(v * bias2) + eps);   p -= lr * lr_scale * (u + decay * weight_decay * p)
// grad_scale, apply, bias1 = 1 / (1 - beta1^t) and bias2 stand in `decision` (kernels/step_control/op.h). lr_scale and weight_decay belong
// to groups of neighbours: elements [ends[i-1], ends[i]) have lr_scale[i], weight_decay[i]; ends[last] is n. lr and decay are the step's.
// p, g, m, v [n] in the accumulation dtype (g, m, v, p of one dtype); w [n], in the model's dtype, receives the rounded p (may be p itself
// or null). With apply = 0 (a step that is not finite) nothing changes. eps is outside the root.
// f32 gives the same bits on the CPU, whatever its instruction set and the number of threads, and on a GPU.
// ends [k] i64, lr_scale, weight_decay [k] f64, on the device of p.
#pragma once
#include "device/exec.h"

namespace rk {

struct AdamW {
  Tensor p, g, m, v, w;
  Tensor ends, lr_scale, weight_decay;
  Tensor decision;
  double lr = 0, beta1 = 0.9, beta2 = 0.99, eps = 1e-18, decay = 1;
};
void run(const Exec& ex, const AdamW& a);

}  // namespace rk
