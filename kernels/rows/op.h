// One row for many, and many for one.
//   SumRows:    y [n] (accumulation dtype) += sum over rows of x [R,n] (any floating type); rows are summed in fixed blocks, in the
//               accumulation dtype, so that neither threads nor runs change bits
//   RepeatRows: y [R,n] = x [n] in every row, in y's dtype
#pragma once
#include "device/exec.h"

namespace rk {

struct SumRows {
  Tensor x, y;
};
struct RepeatRows {
  Tensor x, y;
};
void run(const Exec& ex, const SumRows& a);
void run(const Exec& ex, const RepeatRows& a);

}  // namespace rk
