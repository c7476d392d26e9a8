// The chunk-parallel form on a GPU's tensor cores, for models in bf16 or f16 with head size 64 (layout: cuda_layout.h). Products take fp16
// operands with power-of-two scales and sum in f32; the state between chunks is f32.
#pragma once
#include "kernels/wkv7/cuda_layout.h"
#include "kernels/wkv7/op.h"

namespace rk::cuda::wkv7 {

inline bool works_in_chunks(const Exec& ex, DType dtype, int64_t N) {
  return ex.device == Device::cuda && (!ex.gpu || ex.gpu->arch() >= 80) && N == kHead && size_of(dtype) == 2;
}

// saved_states: saved_numbers() of f16.
void run_chunked(const Exec& ex, const Wkv7Forward& a);
void run_chunked(const Exec& ex, const Wkv7Backward& a);

}  // namespace rk::cuda::wkv7
