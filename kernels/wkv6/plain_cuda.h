// The plain recurrence on a GPU: f32 arithmetic, any head size, any type, no divisions. For f32 models, for head sizes other than 64 and
// for chips without the tensor core instructions that the chunked form uses.
#pragma once
#include "kernels/wkv6/op.h"

namespace rk::cuda::wkv6 {

// saved_states: S before every kWkv6Chunk positions in f32, as on the CPU.
void run_plain(const Exec& ex, const Wkv6Forward& a);
void run_plain(const Exec& ex, const Wkv6Backward& a);

}  // namespace rk::cuda::wkv6
