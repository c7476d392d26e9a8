// (I - AB)^-1 of one chunk by one warp.
#pragma once
#include "kernels/wkv7/chunk_pairs.cuh"

namespace rk::cuda::wkv7 {

inline constexpr int kInversePitch = 20, kInverseBlock = 16 * kInversePitch + 4;  // two blocks, in different banks
inline constexpr int kInverseFloats = 2 * kInverseBlock;

// z = (I - ab * unit)^-1 in a narrow tile, in the blocks of 16 on and below the diagonal, ab strictly lower triangular; `room` holds
// kInverseFloats. Returns the unit of z, whose largest number is in [1, 2). The diagonal blocks are solved forwards in f32: powers of AB,
// which Neumann's series needs, are thousands of times larger than the inverse when tokens repeat.
__device__ __forceinline__ float invert(__half* z, float* room, const TokenProduct& ab, float unit) {
#pragma unroll
  for (int n = 0; n < 2; ++n)
#pragma unroll
    for (int e = 0; e < 4; e += 2) {
      float* to = room + acc_row(e) * kInversePitch + acc_column(n, 0);
      *reinterpret_cast<float2*>(to) = float2{ab.low[n][e] * unit, ab.low[n][e + 1] * unit};
      *reinterpret_cast<float2*>(to + kInverseBlock) = float2{ab.high[2 + n][e] * unit, ab.high[2 + n][e + 1] * unit};
    }
  __syncwarp();
  // One lane solves one column.
  const int block = lane_index() / 16, column = lane_index() % 16;
  const float* rows = room + block * kInverseBlock;
  float x[16];
  uint32_t largest = 0;
#pragma unroll
  for (int t = 0; t < 16; ++t) {
    float sum[4] = {t == column ? 1.0f : 0.0f, 0, 0, 0};
#pragma unroll
    for (int s = 0; s < t; s += 4) {
      const float4 c = *reinterpret_cast<const float4*>(rows + t * kInversePitch + s);
      sum[0] += c.x * x[s];
      if (s + 1 < t) sum[1] += c.y * x[s + 1];
      if (s + 2 < t) sum[2] += c.z * x[s + 2];
      if (s + 3 < t) sum[3] += c.w * x[s + 3];
    }
    x[t] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    largest = larger(largest, magnitude(x[t]));
  }
  largest = warp_largest(largest);
  const auto store_diagonal = [&](float factor) {
#pragma unroll
    for (int t = 0; t < 16; ++t) z[Swizzled<kTokens>::at(16 * block + t, 16 * block + column)] = __float2half_rn(x[t] * factor);
  };
  const float diagonal = power_scale(largest, 0);
  store_diagonal(inverse_power(diagonal));
  __syncwarp();

  // The block below, Z21 = Z22 A21 Z11, as its transpose (Z11T A21T) Z22T, for which accumulators become operands where they are.
  uint32_t a21[4], a[4], b[2][2];
  const float(&ab21)[2][4] = reinterpret_cast<const float(&)[2][4]>(ab.high);
  const float ab_unit = power_scale(warp_largest(largest_of(ab21)), 0);
  a_of_acc(a21, ab21[0], ab21[1], inverse_power(ab_unit));
  b_of_acc_transpose(b, a21);
  float product[2][4] = {}, below[2][4] = {};
  a_of_transpose<Swizzled<kTokens>>(a, z, 0, 0);
  mma(product[0], a, b[0], static_cast<const __half*>(nullptr));
  mma(product[1], a, b[1], static_cast<const __half*>(nullptr));
  const float product_unit = power_scale(warp_largest(largest_of(product)), 0);
  a_of_acc(a, product[0], product[1], inverse_power(product_unit));
  multiply_transpose<Swizzled<kTokens>>(below, a, z, 16, 16);
  scale_acc(below, unit * ab_unit * product_unit * diagonal * diagonal);

  const float z_unit = power_scale(larger(largest, warp_largest(largest_of(below))), 0), z_inverse = inverse_power(z_unit);
  __syncwarp();
  if (z_unit != diagonal) store_diagonal(z_inverse);
#pragma unroll
  for (int n = 0; n < 2; ++n)
#pragma unroll
    for (int e = 0; e < 4; ++e) z[Swizzled<kTokens>::at(16 + acc_column(n, e), acc_row(e))] = __float2half_rn(below[n][e] * z_inverse);
  return z_unit;
}

}  // namespace rk::cuda::wkv7
