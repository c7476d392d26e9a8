// The plain recurrence on a GPU: f32 arithmetic, any head size, any type, no divisions. For f32 models, for head sizes other than 64 and
// for chips without the tensor core instructions that the chunked form uses.
#pragma once
#include "kernels/wkv7/op.h"

namespace rk::cuda::wkv7 {

// saved_states: S before every kWkv7Chunk positions in f32, as on the CPU.
void run_plain(const Exec& ex, const Wkv7Forward& a);
void run_plain(const Exec& ex, const Wkv7Backward& a);

}  // namespace rk::cuda::wkv7
