// What the fused kernels share: a block is as wide as a row, a thread owns one 16-byte pack of columns of every row that the block walks
// over.
#pragma once
#include <type_traits>

#include "kernels/common/flat.cuh"
#include "kernels/common/reduce.cuh"
#include "kernels/common/resets.h"
#include "kernels/norm_mix/fused_cuda.h"

namespace rk::cuda {

inline constexpr int kMaxRowThreads = 512;
// What RWKV-7 trains with has kernels for each width of a row, and for rows without resets.
template <class T, int N>
inline constexpr bool kByWidth = std::is_same_v<T, __nv_bfloat16> && (N == 1 || N == 6);

// Bounds of kernels for rows of any width, which leave a thread 80 and 96 registers: three blocks of 256 and two of 320 fit.
inline constexpr int kThreeOf256 = 768, kTwoOf320 = 640;

// Pointers by mix that only weights of tokens have.
template <class P, int N, Weights WEIGHTS>
struct TokenWeights {};
template <class P, int N>
struct TokenWeights<P, N, Weights::of_token> {
  P at[N];
};

// Threads of a block whose rows hold C elements of T; 0 where a row is too long or not cut into whole packs.
template <class T>
int row_threads(int64_t C) {
  const int64_t packs = C / kWide<T>;
  return C % kWide<T> == 0 && packs <= kMaxRowThreads ? static_cast<int>(ceil_div(packs, 32) * 32) : 0;
}

// Lane l gets the warp's sum of x[l % N]; x is used up. N is a power of two.
template <int N>
__device__ __forceinline__ float warp_sums(float (&x)[N]) {
  const unsigned lane = threadIdx.x % 32;
#pragma unroll
  for (int half = N / 2; half > 0; half /= 2) {
    const bool upper = lane & static_cast<unsigned>(half);
#pragma unroll
    for (int i = 0; i < half; ++i) {
      const float away = upper ? x[i] : x[i + half], kept = upper ? x[i + half] : x[i];
      x[i] = kept + __shfl_xor_sync(kWholeWarp, away, half);
    }
  }
#pragma unroll
  for (int step = N; step < 32; step *= 2) x[0] += __shfl_xor_sync(kWholeWarp, x[0], step);
  return x[0];
}

// Every thread gets the sums over the block of N numbers each; part [warps][N] may be written again after the next barrier of the block.
template <int N>
__device__ __forceinline__ void row_sums(float (&x)[N], float* part) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32, warps = static_cast<int>(blockDim.x) / 32;
  const float sum = warp_sums(x);
  if (lane < N) part[warp * N + lane] = sum;
  __syncthreads();
#pragma unroll
  for (int i = 0; i < N; ++i) x[i] = 0;
#pragma unroll 4
  for (int w = 0; w < warps; ++w) {
#pragma unroll
    for (int i = 0; i < N; i += 4) {
      float y[4];
      load(part + w * N + i, y);
#pragma unroll
      for (int j = 0; j < 4; ++j) x[i + j] += y[j];
    }
  }
}

// A warp's packs of shared memory: N for every thread, who alone uses them, so that they need no barrier. They lie at distances that are
// known when the kernel is compiled.
template <class P, int N>
class OwnPacks {
 public:
  __device__ OwnPacks() : mine_(shared_memory<P>() + threadIdx.x / 32 * (32 * N) + threadIdx.x % 32) {}
  __device__ P* at(int i) const { return mine_ + 32 * i; }
  static size_t bytes(int threads) { return static_cast<size_t>(threads * N) * sizeof(P); }

 private:
  P* mine_;
};

struct RowStats {
  float mean, rstd;
};

// From the sums of x - shift and of their squares over C columns. With the row's first element as shift, which lies within sqrt(C) standard
// deviations of the mean, the difference below keeps its digits.
__device__ __forceinline__ RowStats row_stats(float sum, float squares, float shift, float per_column, float eps) {
  const float offset = sum * per_column;
  return {shift + offset, rsqrtf(fmaxf(squares * per_column - offset * offset, 0.0f) + eps)};
}

// x becomes the normed row, rounded to T as memory would hold it.
template <class T, int W>
__device__ __forceinline__ void norm(float (&x)[W], const RowStats& s, const float (&weight)[W], const float (&bias)[W]) {
  const float offset = -s.mean * s.rstd;
#pragma unroll
  for (int j = 0; j < W; ++j) x[j] = (x[j] * s.rstd + offset) * weight[j] + bias[j];
  to_floats(from_floats<T>(x), x);
}

// Adds a row's shifted sums.
template <int W>
__device__ __forceinline__ void add_shifted(const float (&x)[W], float shift, float& sum, float& squares) {
#pragma unroll
  for (int j = 0; j < W; ++j) {
    const float d = x[j] - shift;
    sum += d;
    squares += d * d;
  }
}

}  // namespace rk::cuda
