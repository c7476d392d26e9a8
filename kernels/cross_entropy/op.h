// Cross entropy with L2Wrap on rows of logits (golden rwkv7 §6), turned into its gradient in place.
//   lse = log sum exp z;  ce = lse - z[target]  for target >= 0;  rows with target < 0 (-100) count nothing
//   loss_sum [1] f64 += sum over rows of weight * ce            row_loss [R] = ce (0 where not counted; accumulation dtype; may be null)
//   dlogits = scale * weight * (softmax(z) - onehot(target)) + l2_scale * max(z) * onehot(argmax z)       (in place of logits, if
//   want_gradient)
// The L2 part covers every row, also uncounted ones, but for those whose target is kNoRow; lowest index wins ties; the sign of the maximum
// is kept. It scales with nothing else: the caller folds the incoming gradient into both scales; where loss_scale ([1] f64) is given, both
// are multiplied by it. logits [R,V] in the accumulation dtype or, on a GPU, the model's dtype; targets [R] i32; weights [R] f32 or null
// (all 1). loss_sum is summed in double in an order that depends on R alone. A target outside the vocabulary is a broken promise; on a GPU
// its loss is NaN.
#pragma once
#include "device/exec.h"

namespace rk {

inline constexpr int32_t kNoRow = -101;  // target of a row that is padding: its gradient is zero

struct CrossEntropy {
  Tensor logits, targets, weights;
  double scale = 0, l2_scale = 0;
  Tensor loss_scale;
  bool want_gradient = false;
  Tensor loss_sum, row_loss;
};
void run(const Exec& ex, const CrossEntropy& a);

}  // namespace rk
