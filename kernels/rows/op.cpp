#include "kernels/rows/op.h"

#include "kernels/common/cpu_parallel.h"
#include "kernels/common/dispatch.h"

namespace rk {
namespace cpu {
void run(const Exec& ex, const SumRows& a, const Tensor& partial);
void run(const Exec& ex, const RepeatRows& a);
}  // namespace cpu
namespace cuda {
void run(const Exec& ex, const SumRows& a);
void run(const Exec& ex, const RepeatRows& a);
}  // namespace cuda

void run(const Exec& ex, const SumRows& a) {
  require(a.x.numel() % a.y.numel() == 0, "rows that are summed have the length of their sum");
  require(a.y.dtype == acc_dtype(a.x.dtype), "sums over rows are held in the accumulation dtype");
  const OpScope watched(ex, "sum_rows", static_cast<double>(a.x.n_bytes() + 2 * a.y.n_bytes()));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  ArenaScope scope(*ex.scratch);
  const int64_t n = a.y.numel();
  const Tensor partial = ex.scratch->take(a.y.dtype, {cpu::RowBlocks(a.x.numel() / n).n, n});
  if (ex.dry()) return;
  cpu::run(ex, a, partial);
}

void run(const Exec& ex, const RepeatRows& a) {
  require(a.y.numel() % a.x.numel() == 0, "a row that is repeated fills whole rows");
  const OpScope watched(ex, "repeat_rows", static_cast<double>(a.x.n_bytes() + a.y.n_bytes()));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  if (ex.dry()) return;
  cpu::run(ex, a);
}

}  // namespace rk
