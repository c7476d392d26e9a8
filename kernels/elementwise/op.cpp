#include "kernels/elementwise/op.h"

#include "kernels/common/dispatch.h"

namespace rk {
namespace cpu {
void run(const Exec& ex, const Cast& a);
void run(const Exec& ex, const Add& a);
void run(const Exec& ex, const SumOfSquares& a, const Tensor& block_sums);
void run(const Exec& ex, const Fill& a);
int64_t n_square_blocks(int64_t n);
}  // namespace cpu
namespace cuda {
void run(const Exec& ex, const Cast& a);
void run(const Exec& ex, const Add& a);
void run(const Exec& ex, const SumOfSquares& a);
void run(const Exec& ex, const Fill& a);
}  // namespace cuda

void run(const Exec& ex, const Cast& a) {
  require(a.x.numel() == a.y.numel(), "a cast keeps the number of elements");
  const OpScope watched(ex, "cast", static_cast<double>(a.x.n_bytes() + a.y.n_bytes()));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  if (ex.dry()) return;
  cpu::run(ex, a);
}

void run(const Exec& ex, const Add& a) {
  require(a.x.numel() == a.y.numel(), "both sides of a sum have one number of elements");
  const OpScope watched(ex, "add", static_cast<double>(a.x.n_bytes() + 2 * a.y.n_bytes()));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  if (ex.dry()) return;
  cpu::run(ex, a);
}

void run(const Exec& ex, const SumOfSquares& a) {
  require(a.out.numel() == 1 && a.out.dtype == DType::f64, "a sum of squares is one double");
  const OpScope watched(ex, "sum_of_squares", static_cast<double>(a.x.n_bytes()));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  ArenaScope scope(*ex.scratch);
  const Tensor block_sums = ex.scratch->take(DType::f64, {cpu::n_square_blocks(a.x.numel())});
  if (ex.dry()) return;
  cpu::run(ex, a, block_sums);
}

void run(const Exec& ex, const AddSquares& a) {
  require(ex.device == Device::cpu, "sums of squares that are added to are formed on the host");
  if (a.x) run(ex, Add{.x = a.x, .y = a.y});
  if (a.out) run(ex, SumOfSquares{.x = a.y, .out = a.out});
}

void run(const Exec& ex, const Fill& a) {
  const OpScope watched(ex, "fill", static_cast<double>(a.x.n_bytes()));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  if (ex.dry()) return;
  cpu::run(ex, a);
}

}  // namespace rk
