// Matrix products, row-major.
//   C [M,N] = op(A) op(B) (+ base) (+ bias),   op(A) [M,K], op(B) [K,N];   op = transpose when asked
// base [M,N] has C's dtype and may be C itself (`add` says just that); bias [N], of C's dtype, is added to every row; both may be null.
// A, B and bias share no memory with C.
// A and B have one dtype (f64, f32, bf16; f16 on a GPU); C has that dtype or the accumulation dtype. Products accumulate in fp32 (f64 for
// f64). The whole sum is formed in the accumulation dtype and rounded once. On a GPU with Exec::tf32 f32 factors are rounded to tf32.
// Leading dimensions are the row lengths: operands are contiguous.
#pragma once
#include "device/exec.h"

namespace rk {

struct Gemm {
  Tensor a, b, c;
  bool trans_a = false, trans_b = false;
  bool add = false;  // C += product: base is C
  Tensor base, bias;
};
void run(const Exec& ex, const Gemm& g);

}  // namespace rk
