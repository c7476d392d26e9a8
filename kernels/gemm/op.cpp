#include "kernels/gemm/op.h"

#include "kernels/common/cpu_parallel.h"
#include "kernels/common/dispatch.h"
#include "kernels/gemm/blocks.h"

namespace rk {
namespace cpu {
void run(const Exec& ex, const Gemm& g, const Tensor& scratch);

// Scratch elements of the accumulation dtype.
static int64_t scratch_of(const Exec& ex, const Gemm& g) {
  const GemmSizes s(g);
  if (few_rows(g, s)) return 0;
  if (g.a.dtype == DType::f64) return GemmBlocks<double>(s, false).total(s, n_threads(ex));
  return GemmBlocks<float>(s, g.c.dtype == DType::bf16).total(s, n_threads(ex));
}
}  // namespace cpu

namespace cuda {
void run(const Exec& ex, const Gemm& g);
}

static double least_bytes(const Gemm& g) {
  const size_t n = g.a.n_bytes() + g.b.n_bytes() + g.c.n_bytes() * (g.add || g.base ? 2 : 1);
  return static_cast<double>(n);
}

void run(const Exec& ex, const Gemm& g) {
  require(g.a.shape.rank == 2 && g.b.shape.rank == 2 && g.c.shape.rank == 2, "matrices have two dimensions");
  const cpu::GemmSizes s(g);
  require(g.b.shape[g.trans_b ? 1 : 0] == s.K, "both factors of a product share K");
  require(g.c.shape[0] == s.M && g.c.shape[1] == s.N, "a product has the rows of A and the columns of B");
  require(g.a.dtype == g.b.dtype, "both factors of a product have one type");
  require(g.c.dtype == g.a.dtype || g.c.dtype == acc_dtype(g.a.dtype), "a product has its factors' type or the accumulation dtype");
  require(!g.base || (!g.add && g.base.shape.numel() == g.c.numel() && g.base.dtype == g.c.dtype),
          "a product is added to one matrix like C");
  require(!g.bias || (g.bias.numel() == s.N && g.bias.dtype == g.c.dtype),
          "the bias of a product has a number of C's type for each column");
  if (s.M == 0 || s.N == 0) return;
  const OpScope watched(ex, "gemm", least_bytes(g), 2.0 * static_cast<double>(s.M) * static_cast<double>(s.N) * static_cast<double>(s.K),
                        {s.M, s.N, s.K});
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, g);
  }
  ArenaScope scope(*ex.scratch);
  const Tensor scratch = ex.scratch->take(acc_dtype(g.a.dtype), {cpu::scratch_of(ex, g)});
  if (ex.dry()) return;
  cpu::run(ex, g, scratch);
}

}  // namespace rk
