// What the plain recurrence's two directions share.
#pragma once
#include "kernels/common/head_sequence.cuh"
#include "kernels/common/numbers.cuh"
#include "kernels/common/reduce.cuh"
#include "kernels/common/resets.h"
#include "kernels/wkv7/plain_cuda.h"

namespace rk::cuda::wkv7 {

inline constexpr int kPlainTokens = static_cast<int>(kWkv7Chunk);
inline constexpr float kLambda = 0.60653066f;  // exp(-1/2)

using PlainSizes = HeadSequence<kPlainTokens>;

__device__ __forceinline__ float decay_of(float w) { return expf(-kLambda / (1.0f + expf(-w))); }
// d decay / d w, by way of e = exp(-|w|): s (1 - s) = e / (1 + e)^2 without cancellation.
__device__ __forceinline__ float decay_slope(float w) {
  const float e = expf(-fabsf(w)), q = 1.0f / (1.0f + e);
  return -kLambda * decay_of(w) * (e * q * q);
}

}  // namespace rk::cuda::wkv7
