#include "kernels/gemm/op.h"

#include "kernels/common/cpu_parallel.h"
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

void run(const Exec& ex, const Gemm& g) {
  require(g.a.shape.rank == 2 && g.b.shape.rank == 2 && g.c.shape.rank == 2, "matrices have two dimensions");
  const cpu::GemmSizes s(g);
  require(g.b.shape[g.trans_b ? 1 : 0] == s.K, "both factors of a product share K");
  require(g.c.shape[0] == s.M && g.c.shape[1] == s.N, "a product has the rows of A and the columns of B");
  require(g.a.dtype == g.b.dtype, "both factors of a product have one type");
  require(g.c.dtype == g.a.dtype || g.c.dtype == acc_dtype(g.a.dtype), "a product has its factors' type or the accumulation dtype");
  if (s.M == 0 || s.N == 0) return;
  ArenaScope scope(*ex.scratch);
  const Tensor scratch = ex.scratch->take(acc_dtype(g.a.dtype), {cpu::scratch_of(ex, g)});
  if (ex.dry()) return;
  cpu::run(ex, g, scratch);
}

}  // namespace rk
