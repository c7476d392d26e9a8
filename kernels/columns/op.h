// Blocks of columns as matrices of their own, and back:  parts [n,R,M],  whole [R, n*M],  parts[p][r][m] = whole[r][p*M + m].
// One dtype (f64, f32, bf16, f16); the two share no memory.
#pragma once
#include "device/exec.h"

namespace rk {

struct SplitColumns {
  Tensor whole, parts;
};
struct JoinColumns {
  Tensor parts, whole;
};
void run(const Exec& ex, const SplitColumns& a);
void run(const Exec& ex, const JoinColumns& a);

}  // namespace rk
