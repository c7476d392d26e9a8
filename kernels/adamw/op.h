// One AdamW step on a flat shard (golden rwkv7 §10).
//   g' = g * grad_scale;  m = beta1 m + (1-beta1) g';  v = beta2 v + (1-beta2) g'^2
//   u = (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps);   p -= lr * (u + weight_decay * p)
// p, g, m, v [n] in the accumulation dtype (g, m, v, p of one dtype); w [n], in the model's dtype, receives the rounded p (may be p itself
// or null). `grad_scale` carries clipping. With apply = false (a non-finite step) nothing changes. eps is outside the root.
#pragma once
#include "device/exec.h"

namespace rk {

struct AdamW {
  Tensor p, g, m, v, w;
  double lr = 0, beta1 = 0.9, beta2 = 0.99, eps = 1e-18, weight_decay = 0, grad_scale = 1;
  int64_t t = 1;  // counts from 1
  bool apply = true;
};
void run(const Exec& ex, const AdamW& a);

}  // namespace rk
