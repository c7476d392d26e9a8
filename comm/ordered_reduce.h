// Sums whose order is fixed: part 0, then part 1, and so on.
#pragma once
#include <span>

#include "base/dtype.h"
#include "comm/comm.h"

namespace rk {

// out[i] = parts[0][i] op parts[1][i] op ..., from left to right, for n elements. `out` may be one of the parts. bf16 is summed in
// fp32 and rounded once. A maximum with a NaN is that NaN.
void ordered_reduce(DType dtype, Reduce op, std::span<const void* const> parts, void* out, int64_t n);

}  // namespace rk
