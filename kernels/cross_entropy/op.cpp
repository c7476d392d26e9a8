#include "kernels/cross_entropy/op.h"

#include "kernels/common/dispatch.h"

namespace rk {
namespace cpu {
void run(const Exec& ex, const CrossEntropy& a, const Tensor& row_ce);
}
namespace cuda {
void run(const Exec& ex, const CrossEntropy& a, const Tensor& row_ce);
}

void run(const Exec& ex, const CrossEntropy& a) {
  const int64_t R = a.targets.numel();
  require(a.logits.shape.rank >= 1 && R > 0 && a.logits.numel() % R == 0, "logits are [R,V], one row per target");
  require(ex.device == Device::cuda || a.logits.dtype == acc_dtype(a.logits.dtype), "logits on a CPU are held in the accumulation dtype");
  require(a.targets.dtype == DType::i32, "targets are i32");
  require(!a.weights || (a.weights.dtype == DType::f32 && a.weights.numel() == R), "one f32 weight per row");
  require(!a.row_loss || (a.row_loss.dtype == acc_dtype(a.logits.dtype) && a.row_loss.numel() == R), "one loss per row");
  require(a.loss_sum.dtype == DType::f64 && a.loss_sum.numel() == 1, "a sum of losses is one double");
  require(!a.loss_scale || (a.loss_scale.dtype == DType::f64 && a.loss_scale.numel() == 1), "a loss scale is one double");
  const ArenaScope scope(*ex.scratch);
  const Tensor row_ce = ex.scratch->take(DType::f64, {R});
  const OpScope op(ex, "cross_entropy", static_cast<double>(a.logits.n_bytes()) * (a.want_gradient ? 2 : 1));
  if (ex.dry()) return;
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a, row_ce);
  }
  cpu::run(ex, a, row_ce);
}

}  // namespace rk
