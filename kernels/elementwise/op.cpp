#include "kernels/common/dispatch.h"
#include "kernels/elementwise/op_cpu.h"

namespace rk {
namespace cpu {
void run(const Exec& ex, const Add& a);
void run(const Exec& ex, const Fill& a);
}  // namespace cpu
namespace cuda {
void run(const Exec& ex, const Cast& a);
void run(const Exec& ex, const Add& a);
void run(const Exec& ex, const SumOfSquares& a);
void run(const Exec& ex, const SquareBlocks& a);
void run(const Exec& ex, const OrderedSum& a);
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
  require(a.y.dtype == DType::f32 || a.y.dtype == DType::f64, "sums are held in f32 or f64");
  require(!a.x || a.x.numel() == a.y.numel(), "both sides of a sum have one number of elements");
  require(!a.x || a.x.dtype == a.y.dtype || (a.x.dtype == DType::bf16 && a.y.dtype == DType::f32),
          "what is added is of the sum's type or bf16");
  require(!a.out || (a.out.numel() == 1 && a.out.dtype == DType::f64), "a sum of squares is one double");
  const OpScope watched(ex, "add_squares", static_cast<double>(a.x ? a.x.n_bytes() + 2 * a.y.n_bytes() : a.y.n_bytes()));
  ArenaScope scope(*ex.scratch);
  const Tensor block_sums = ex.scratch->take(DType::f64, {cpu::n_square_blocks(a.y.numel())});
  if (ex.dry()) return;
  cpu::run(ex, a, block_sums);
}

void run(const Exec& ex, const SquareBlocks& a) {
  require(a.out.dtype == DType::f64 && a.out.numel() == (a.x.numel() + kSquareBlock - 1) / kSquareBlock,
          "each block of squares leaves one double");
  const OpScope watched(ex, "square_blocks", static_cast<double>(a.x.n_bytes()));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  if (ex.dry()) return;
  cpu::run(ex, a);
}

void run(const Exec& ex, const OrderedSum& a) {
  require(a.x.dtype == DType::f64 && a.out.numel() == 1 && a.out.dtype == DType::f64, "doubles have a double as their sum");
  const OpScope watched(ex, "ordered_sum", static_cast<double>(a.x.n_bytes()));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  if (ex.dry()) return;
  cpu::run(ex, a);
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
