// The second half of a sum over rows: strips of rows have left their sums, these are added in a fixed order.
#pragma once
#include "kernels/common/launch.cuh"

namespace rk::cuda {

// Where the sums go, by vector; null: not wanted.
struct PartialTotals {
  float* to[8] = {};
};

inline constexpr int kPartialColumns = 32, kPartialGroups = 16;

// One block adds the strips of 32 columns of one vector: 16 groups of neighbouring strips, then the groups in order.
static __global__ void __launch_bounds__(kPartialColumns* kPartialGroups)
    add_partials_kernel(const float* partial, int n_strips, int C, const __grid_constant__ PartialTotals totals) {
  __shared__ float sums[kPartialGroups][kPartialColumns];
  float* const to = totals.to[blockIdx.y];
  if (!to) return;
  const int column = static_cast<int>(threadIdx.x) % kPartialColumns, group = static_cast<int>(threadIdx.x) / kPartialColumns;
  const int j = static_cast<int>(blockIdx.x) * kPartialColumns + column;
  const int per_group = (n_strips + kPartialGroups - 1) / kPartialGroups;
  const int first = group * per_group, last = min(n_strips, first + per_group);
  float sum = 0;
  if (j < C) {
    const int64_t stride = static_cast<int64_t>(gridDim.y) * C;
    const float* from = partial + static_cast<int64_t>(blockIdx.y) * C + j;
#pragma unroll 8
    for (int i = first; i < last; ++i) sum += from[i * stride];
  }
  sums[group][column] = sum;
  __syncthreads();
  if (group == 0 && j < C) {
    float total = 0;
#pragma unroll
    for (int g = 0; g < kPartialGroups; ++g) total += sums[g][column];
    to[j] += total;
  }
}

// totals.to[v][j] += sum over strips of partial[strip][v][j]; partial is [n_strips, n_vectors, C].
inline void add_partials(const Exec& ex, const float* partial, int n_strips, int n_vectors, int64_t C, const PartialTotals& totals) {
  const dim3 grid(static_cast<unsigned>(ceil_div(C, kPartialColumns)), static_cast<unsigned>(n_vectors));
  launch(ex, add_partials_kernel, {.grid = grid, .block = kPartialColumns * kPartialGroups}, partial, n_strips, static_cast<int>(C),
         totals);
}

}  // namespace rk::cuda
