// Flat operations in host memory that are bound by it, by a chosen instruction set; kernels/elementwise/op.h takes the best one. All give
// the same bits.
#pragma once
#include "kernels/common/isa_cpu.h"
#include "kernels/elementwise/op.h"

namespace rk::cpu {

void run(const Exec& ex, const Cast& a, Isa isa = best_isa());
// block_sums [n_square_blocks(n)] f64.
void run(const Exec& ex, const SumOfSquares& a, const Tensor& block_sums, Isa isa = best_isa());
void run(const Exec& ex, const AddSquares& a, const Tensor& block_sums, Isa isa = best_isa());
void run(const Exec& ex, const SquareBlocks& a, Isa isa = best_isa());
void run(const Exec& ex, const OrderedSum& a);
int64_t n_square_blocks(int64_t n);

}  // namespace rk::cpu
