// Matrix products, row-major.
//   C [M,N] (+)= op(A) op(B),   op(A) [M,K], op(B) [K,N];   op = transpose when asked
// A and B have one dtype (f64, f32, bf16); C has that dtype or the accumulation dtype. Products accumulate in fp32 (f64 for f64).
// add: C += product instead of C = product. With bf16 C and add, the sum is formed in fp32 and rounded once.
// Leading dimensions are the row lengths: operands are contiguous.
#pragma once
#include "device/exec.h"

namespace rk {

struct Gemm {
  Tensor a, b, c;
  bool trans_a = false, trans_b = false;
  bool add = false;
};
void run(const Exec& ex, const Gemm& g);

}  // namespace rk
