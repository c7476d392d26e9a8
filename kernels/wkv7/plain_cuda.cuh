// What the plain recurrence's two directions share.
#pragma once
#include "kernels/common/numbers.cuh"
#include "kernels/common/reduce.cuh"
#include "kernels/common/resets.h"
#include "kernels/wkv7/plain_cuda.h"

namespace rk::cuda::wkv7 {

inline constexpr int kPlainTokens = static_cast<int>(kWkv7Chunk);
inline constexpr float kLambda = 0.60653066f;  // exp(-1/2)

// Where a head's sequence lies in [B,T,H,N].
struct PlainSizes {
  int64_t T;
  int H, N;
  explicit PlainSizes(const Shape& s) : T(s[1]), H(static_cast<int>(s[2])), N(static_cast<int>(s[3])) {}
  __host__ __device__ int n_chunks() const { return static_cast<int>((T + kPlainTokens - 1) / kPlainTokens); }
  __host__ __device__ int64_t stride() const { return static_cast<int64_t>(H) * N; }
  __host__ __device__ int64_t first(int64_t head, int chunk) const {
    return (head / H * T + static_cast<int64_t>(chunk) * kPlainTokens) * stride() + head % H * N;
  }
  // Place of a chunk's token in [B,T].
  __host__ __device__ int64_t token(int64_t head, int chunk, int t) const {
    return head / H * T + static_cast<int64_t>(chunk) * kPlainTokens + t;
  }
  __host__ __device__ int tokens(int chunk) const {
    const int64_t rest = T - static_cast<int64_t>(chunk) * kPlainTokens;
    return rest < kPlainTokens ? static_cast<int>(rest) : kPlainTokens;
  }
};

__device__ __forceinline__ float decay_of(float w) { return expf(-kLambda / (1.0f + expf(-w))); }
// d decay / d w, by way of e = exp(-|w|): s (1 - s) = e / (1 + e)^2 without cancellation.
__device__ __forceinline__ float decay_slope(float w) {
  const float e = expf(-fabsf(w)), q = 1.0f / (1.0f + e);
  return -kLambda * decay_of(w) * (e * q * q);
}

}  // namespace rk::cuda::wkv7
