// What the plain recurrence's two directions share.
#pragma once
#include "kernels/common/numbers.cuh"
#include "kernels/common/reduce.cuh"
#include "kernels/common/resets.h"
#include "kernels/wkv6/plain_cuda.h"

namespace rk::cuda::wkv6 {

inline constexpr int kPlainTokens = static_cast<int>(kWkv6Chunk);

// Where a head's sequence lies in [B,T,H,N].
struct PlainSizes {
  int64_t T;
  int H, N;
  explicit PlainSizes(const Shape& s) : T(s[1]), H(static_cast<int>(s[2])), N(static_cast<int>(s[3])) {}
  __host__ __device__ int n_chunks() const { return static_cast<int>((T + kPlainTokens - 1) / kPlainTokens); }
  __host__ __device__ int64_t stride() const { return static_cast<int64_t>(H) * N; }
  __host__ __device__ int64_t first(int64_t head, int chunk) const { return token(head, chunk, 0) * stride() + head % H * N; }
  // Place of a chunk's token in [B,T].
  __host__ __device__ int64_t token(int64_t head, int chunk, int t) const {
    return head / H * T + static_cast<int64_t>(chunk) * kPlainTokens + t;
  }
  __host__ __device__ int tokens(int chunk) const {
    const int64_t rest = T - static_cast<int64_t>(chunk) * kPlainTokens;
    return rest < kPlainTokens ? static_cast<int>(rest) : kPlainTokens;
  }
};

// The raw w of every token, or the heads' for all tokens.
template <class T>
struct RawDecay {
  const T* w;
  bool shared;
  explicit RawDecay(const Tensor& t) : w(t.as<T>()), shared(t.shape.rank == 2) {}
  // `at`: the element's place in [B,T,H,N]; C = H N.
  __device__ __forceinline__ float at(int64_t at, int64_t C) const { return to_float(w[shared ? at % C : at]); }
};

__device__ __forceinline__ float decay_of(float w) { return expf(-expf(w)); }
// d decay / d w = -exp(w - exp(w)), which is 0 where exp(w) is infinite.
__device__ __forceinline__ float decay_slope(float w) { return -expf(w - expf(w)); }

}  // namespace rk::cuda::wkv6
