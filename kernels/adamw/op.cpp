#include "kernels/adamw/op.h"

namespace rk {
namespace cpu {
void run(const Exec& ex, const AdamW& a);
}

void run(const Exec& ex, const AdamW& a) {
  const int64_t n = a.p.numel();
  require(a.g.numel() == n && a.m.numel() == n && a.v.numel() == n, "parameters, gradients and moments have one size");
  require(a.g.dtype == a.p.dtype && a.m.dtype == a.p.dtype && a.v.dtype == a.p.dtype, "parameters, gradients and moments have one type");
  require(a.p.dtype == DType::f32 || a.p.dtype == DType::f64, "the optimizer works in the accumulation dtype");
  require(!a.w || a.w.numel() == n, "rounded weights have the parameters' size");
  require(a.t >= 1, "optimizer steps count from 1");
  if (ex.dry() || !a.apply) return;
  cpu::run(ex, a);
}

}  // namespace rk
