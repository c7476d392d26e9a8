// Small flat operations.
#pragma once
#include "device/exec.h"

namespace rk {

// y = x in y's dtype (f64, f32, bf16, f16 in any combination); y may not partly overlap x.
struct Cast {
  Tensor x, y;
};
// y = y + x (same number of elements; dtypes may differ; the sum is formed in the wider accumulation dtype).
struct Add {
  Tensor x, y;
};
// out [1] f64 += sum of squares of x, formed in double, in fixed blocks of elements that are summed in order: the same bits in every run.
struct SumOfSquares {
  Tensor x, out;
};
// y = y + x (x may be absent), then out [1] f64 += sum of squares of y as SumOfSquares forms it (out may be absent). In host memory only;
// y f32 or f64, x of y's type or bf16.
struct AddSquares {
  Tensor x, y, out;
};
// out [ceil(n / kSquareBlock)] f64 = sums of squares of consecutive blocks of x [n], formed in double; the last may be shorter. The same
// bits in every run, and each depends on the elements of its block alone.
inline constexpr int64_t kSquareBlock = 1024;
struct SquareBlocks {
  Tensor x, out;
};
// out [1] f64 = sum of x [n] f64 in an order that the places of the elements decide: zeros behind the last number change no bit.
struct OrderedSum {
  Tensor x, out;
};
// x = value.
struct Fill {
  Tensor x;
  double value = 0;
};
void run(const Exec& ex, const Cast& a);
void run(const Exec& ex, const Add& a);
void run(const Exec& ex, const SumOfSquares& a);
void run(const Exec& ex, const AddSquares& a);
void run(const Exec& ex, const SquareBlocks& a);
void run(const Exec& ex, const OrderedSum& a);
void run(const Exec& ex, const Fill& a);

}  // namespace rk
