#include "kernels/layer_norm/op.h"

#include "kernels/common/cpu_parallel.h"
#include "kernels/common/dispatch.h"

namespace rk {
namespace cpu {
void run(const Exec& ex, const LayerNormForward& a);
void run(const Exec& ex, const LayerNormBackward& a, const Tensor& partial);
}  // namespace cpu
namespace cuda {
void run(const Exec& ex, const LayerNormForward& a);
void run(const Exec& ex, const LayerNormBackward& a);
}  // namespace cuda

void run(const Exec& ex, const LayerNormForward& a) {
  const int64_t C = a.weight.numel();
  require(a.x.numel() % C == 0 && a.bias.numel() == C, "weight and bias have one value per column");
  require(a.y.numel() == a.x.numel() && a.y.dtype == a.x.dtype, "a layer norm keeps size and type");
  require(a.weight.dtype == a.x.dtype && a.bias.dtype == a.x.dtype, "weight and bias have the type of x");
  require(!a.mean || a.mean.numel() == a.x.numel() / C, "one mean per row");
  require(!a.rstd || a.rstd.numel() == a.x.numel() / C, "one deviation per row");
  const OpScope watched(ex, "layer_norm", static_cast<double>(2 * a.x.n_bytes()));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  if (ex.dry()) return;
  cpu::run(ex, a);
}

void run(const Exec& ex, const LayerNormBackward& a) {
  const int64_t C = a.weight.numel(), R = a.x.numel() / C;
  require(a.dy.numel() == R * C && a.dx.numel() == R * C, "gradients have the size of x");
  require(a.dy.dtype == a.x.dtype && a.dx.dtype == a.x.dtype, "gradients have the type of x");
  require(a.mean.numel() == R && a.rstd.numel() == R, "statistics have one value per row");
  require(!a.dweight || a.dweight.numel() == C, "one gradient per weight");
  require(!a.dbias || a.dbias.numel() == C, "one gradient per bias");
  const OpScope watched(ex, "layer_norm_backward", static_cast<double>((a.add_dx ? 4 : 3) * a.x.n_bytes()));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  ArenaScope scope(*ex.scratch);
  const Tensor partial = ex.scratch->take(acc_dtype(a.x.dtype), {cpu::RowBlocks(R).n, 2, C});
  if (ex.dry()) return;
  cpu::run(ex, a, partial);
}

}  // namespace rk
