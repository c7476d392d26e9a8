// Sums inside a warp and a block, always in the same order.
#pragma once
#include "kernels/common/launch.cuh"

namespace rk::cuda {

inline constexpr unsigned kWholeWarp = 0xffffffffu;

// Every lane gets the sum over the warp's groups of WIDTH neighbours (WIDTH a power of two).
template <int WIDTH = 32>
__device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
  for (int step = WIDTH / 2; step > 0; step /= 2) x += __shfl_xor_sync(kWholeWarp, x, step);
  return x;
}
template <int WIDTH = 32>
__device__ __forceinline__ float warp_max(float x) {
#pragma unroll
  for (int step = WIDTH / 2; step > 0; step /= 2) x = fmaxf(x, __shfl_xor_sync(kWholeWarp, x, step));
  return x;
}

// Every thread gets the sums over a block of THREADS (a multiple of 32) of N numbers each. May be called again at once.
template <int THREADS, int N>
__device__ __forceinline__ void block_sum(float (&x)[N]) {
  constexpr int warps = THREADS / 32;
  __shared__ float part[N][warps];
#pragma unroll
  for (int n = 0; n < N; ++n) x[n] = warp_sum(x[n]);
  if constexpr (warps > 1) {
    __syncthreads();  // the last call's sums have been read
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    if (lane == 0) {
#pragma unroll
      for (int n = 0; n < N; ++n) part[n][warp] = x[n];
    }
    __syncthreads();
#pragma unroll
    for (int n = 0; n < N; ++n) {
      float sum = 0;
#pragma unroll
      for (int w = 0; w < warps; ++w) sum += part[n][w];
      x[n] = sum;
    }
  }
}

}  // namespace rk::cuda
