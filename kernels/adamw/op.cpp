#include "kernels/adamw/op_cpu.h"
#include "kernels/common/dispatch.h"
#include "kernels/step_control/op.h"

namespace rk {
namespace cuda {
void run(const Exec& ex, const AdamW& a);
}

void run(const Exec& ex, const AdamW& a) {
  const int64_t n = a.p.numel(), groups = a.ends.numel();
  require(a.g.numel() == n && a.m.numel() == n && a.v.numel() == n, "parameters, gradients and moments have one size");
  require(a.g.dtype == a.p.dtype && a.m.dtype == a.p.dtype && a.v.dtype == a.p.dtype, "parameters, gradients and moments have one type");
  require(a.p.dtype == DType::f32 || a.p.dtype == DType::f64, "the optimizer works in the accumulation dtype");
  require(!a.w || a.w.numel() == n, "rounded weights have the parameters' size");
  require(a.ends.dtype == DType::i64 && groups > 0, "groups of an update are told by their ends");
  for (const Tensor* t : {&a.lr_scale, &a.weight_decay}) require(t->dtype == DType::f64 && t->numel() == groups, "a group has its doubles");
  require(a.decision.dtype == DType::f64 && a.decision.numel() == kStepDecisions, "a decision is its doubles");
  const bool rounds = a.w && a.w.data != a.p.data;
  const OpScope scope(ex, "adamw", static_cast<double>(7 * a.p.n_bytes() + (rounds ? a.w.n_bytes() : 0)));
  if (ex.dry()) return;
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  cpu::run(ex, a);
}

}  // namespace rk
