// What the plain recurrence's two directions share.
#pragma once
#include "kernels/common/head_sequence.cuh"
#include "kernels/common/numbers.cuh"
#include "kernels/common/reduce.cuh"
#include "kernels/common/resets.h"
#include "kernels/wkv6/plain_cuda.h"

namespace rk::cuda::wkv6 {

inline constexpr int kPlainTokens = static_cast<int>(kWkv6Chunk);

using PlainSizes = HeadSequence<kPlainTokens>;

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
