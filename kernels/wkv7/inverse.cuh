// (I - AB)^-1 of a chunk of 32 tokens, AB strictly lower triangular: the 16 x 16 blocks on the diagonal by forward substitution in fp32,
// the block below them as Z22 AB21 Z11 by tensor cores. (A product of powers would be cheaper and useless: with repeated keys powers reach
// 1e3 and cancel.)
#pragma once
#include "kernels/wkv7/chunk.cuh"

namespace rk::cuda::wkv7 {

inline constexpr int kInverseRow = 20;  // floats from row to row of a block in shared memory
inline constexpr int kInverseFloats = 16 * kInverseRow;

// z = (I - x)^-1 of a strictly lower triangular block, by one warp, in accumulator form; `block` (kInverseFloats of this warp's own) holds
// z row by row afterwards.
__device__ __forceinline__ void invert_block(float (&z)[2][4], const float (&x)[2][4], float* block) {
#pragma unroll
  for (int n = 0; n < 2; ++n) {
#pragma unroll
    for (int e = 0; e < 4; ++e) block[acc_column(n, e) * kInverseRow + acc_row(e)] = x[n][e];
  }
  __syncwarp();
  const int c = lane_index() % 16;  // both halves of the warp find all 16 columns of z
  float column[16];
#pragma unroll
  for (int t = 0; t < 16; ++t) column[t] = t == c ? 1.0f : 0.0f;
#pragma unroll
  for (int s = 0; s < 15; ++s) {
#pragma unroll
    for (int first = (s + 1) / 4 * 4; first < 16; first += 4) {
      float row[4];
      load(block + s * kInverseRow + first, row);
#pragma unroll
      for (int t = 0; t < 4; ++t) {
        if (first + t > s) column[first + t] += row[t] * column[s];
      }
    }
  }
  __syncwarp();
  if (lane_index() < 16) {
#pragma unroll
    for (int t = 0; t < 16; ++t) block[t * kInverseRow + c] = column[t];
  }
  __syncwarp();
#pragma unroll
  for (int n = 0; n < 2; ++n) {
#pragma unroll
    for (int e = 0; e < 4; ++e) z[n][e] = block[acc_row(e) * kInverseRow + acc_column(n, e)];
  }
}

// B[k][n] = block[k][n] of a 16 x 16 block of floats.
__device__ __forceinline__ void b_of_block(uint32_t (&b)[2][2], const float* block) {
  const int k = lane_index() % 4 * 2, n = lane_index() / 4;
#pragma unroll
  for (int right = 0; right < 2; ++right) {
#pragma unroll
    for (int low = 0; low < 2; ++low) {
      const float* at = block + (k + low * 8) * kInverseRow + n + right * 8;
      b[right][low] = pack_half2(at[0], at[kInverseRow]);
    }
  }
}

// d = a * block.
__device__ __forceinline__ void multiply_block(float (&d)[2][4], const uint32_t (&a)[4], const float* block) {
  uint32_t b[2][2];
  b_of_block(b, block);
#pragma unroll
  for (int n = 0; n < 2; ++n) {
#pragma unroll
    for (int e = 0; e < 4; ++e) d[n][e] = 0;
    mma(d[n], a, b[n], static_cast<const __half*>(nullptr));
  }
}

// What the two warps of the inverse share: the warp of the first 16 tokens, and that of the others (`high`). Each calls start() with its
// rows of AB, the blocks left and right; after a barrier finish() gives its rows of Z as A operands: `own` for the block on the diagonal,
// `left` for the block left of it (high only), both divided by the returned power of two.
struct InverseShared {
  float block[3][kInverseFloats];
};
struct Inverse {
  float z[2][4];
  uint32_t before[4];  // Z22 AB21

  __device__ __forceinline__ void start(InverseShared& s, bool high, const float (&ab)[2][2][4]) {
    float diagonal[2][4];
#pragma unroll
    for (int n = 0; n < 2; ++n) {
#pragma unroll
      for (int e = 0; e < 4; ++e) diagonal[n][e] = high ? ab[1][n][e] : ab[0][n][e];
    }
    invert_block(z, diagonal, s.block[high]);
    if (!high) return;
#pragma unroll
    for (int n = 0; n < 2; ++n) {
#pragma unroll
      for (int e = 0; e < 4; ++e) s.block[2][acc_row(e) * kInverseRow + acc_column(n, e)] = ab[0][n][e];
    }
    __syncwarp();
    uint32_t a[4];
    a_of_acc(a, z[0], z[1]);
    float product[2][4];
    multiply_block(product, a, s.block[2]);
    a_of_acc(before, product[0], product[1]);
  }
  __device__ __forceinline__ float finish(const InverseShared& s, bool high, uint32_t (&left)[4], uint32_t (&own)[4]) const {
    float z21[2][4] = {};
    uint32_t largest = largest_of(z);
    if (high) {
      multiply_block(z21, before, s.block[0]);
      largest = larger(largest, largest_of(z21));
    }
    const float scale = power_scale(warp_largest(largest), 0), inverse = inverse_scale(scale);
    a_of_acc(left, z21[0], z21[1], inverse);
    a_of_acc(own, z[0], z[1], inverse);
    return scale;
  }
};

}  // namespace rk::cuda::wkv7
