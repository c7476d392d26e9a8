// Rows in the order of their token ids, rows of one token in their own order: a radix sort by 8 bits at a time from the lowest on, each
// pass of which keeps the order of equal digits. A pass counts digits by tiles of keys, adds the counts up and moves the keys.
#pragma once
#include <bit>

#include "kernels/common/reduce.cuh"

namespace rk::cuda {

// [R] each; `id` is sorted, `row` tells where a key came from.
struct Keys {
  int *id, *row;
};

inline constexpr int kDigits = 256, kSortWarps = 8, kSortTile = 512, kScanThreads = 1024;  // a warp takes a tile of keys

// Calls keep(i, id, slot) for this warp's keys in their order; slot counts up from where `next` [kDigits] says that a digit begins.
template <class Keep>
__device__ __forceinline__ void walk_tile(const int* ids, int R, int tile, int shift, volatile int* next, const Keep& keep) {
  constexpr int steps = kSortTile / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32, first = tile * kSortTile + lane;
  int id[steps];
#pragma unroll
  for (int step = 0; step < steps; ++step) id[step] = first + 32 * step < R ? ids[first + 32 * step] : 0;
#pragma unroll
  for (int step = 0; step < steps; ++step) {
    const int i = first + 32 * step;
    const bool here = i < R;
    const unsigned digit = (static_cast<unsigned>(id[step]) >> shift) % kDigits;
    unsigned same = __ballot_sync(kWholeWarp, here);
#pragma unroll
    for (int bit = 0; bit < 8; ++bit) {
      const unsigned ones = __ballot_sync(kWholeWarp, (digit >> bit) & 1u);
      same &= (digit >> bit) & 1u ? ones : ~ones;
    }
    const int before = __popc(same & ((1u << lane) - 1u));
    const int slot = next[digit] + before;
    __syncwarp();
    if (here && before == 0) next[digit] = slot + __popc(same);
    __syncwarp();
    if (here) keep(i, id[step], slot);
  }
}

// counts [kDigits, n_tiles]
static __global__ void __launch_bounds__(32 * kSortWarps) count_digits(const int* ids, int R, int shift, int n_tiles, int* counts) {
  __shared__ int next[kSortWarps][kDigits];
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int tile = static_cast<int>(blockIdx.x) * kSortWarps + warp;
  for (int d = lane; d < kDigits; d += 32) next[warp][d] = 0;
  __syncwarp();
  walk_tile(ids, R, tile, shift, next[warp], [](int, int, int) {});
  __syncwarp();
  for (int d = lane; d < kDigits && tile < n_tiles; d += 32) counts[d * n_tiles + tile] = next[warp][d];
}

// Each count becomes the sum of those before it; one block.
static __global__ void __launch_bounds__(kScanThreads) sum_before(int* counts, int n) {
  __shared__ int sums[kScanThreads];
  const int me = static_cast<int>(threadIdx.x), each = (n + kScanThreads - 1) / kScanThreads;
  const int first = min(n, me * each), last = min(n, first + each);
  int sum = 0;
#pragma unroll 8
  for (int i = first; i < last; ++i) sum += counts[i];
  sums[me] = sum;
  __syncthreads();
  for (int step = 1; step < kScanThreads; step *= 2) {
    const int other = me >= step ? sums[me - step] : 0;
    __syncthreads();
    sums[me] += other;
    __syncthreads();
  }
  int before = sums[me] - sum;
  for (int i = first; i < last; ++i) {
    const int count = counts[i];
    counts[i] = before;
    before += count;
  }
}

// rows null: a key's row is its place.
static __global__ void __launch_bounds__(32 * kSortWarps)
    move_keys(const int* ids, const int* rows, Keys to, int R, int shift, int n_tiles, const int* begins) {
  __shared__ int next[kSortWarps][kDigits];
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int tile = static_cast<int>(blockIdx.x) * kSortWarps + warp;
  for (int d = lane; d < kDigits && tile < n_tiles; d += 32) next[warp][d] = begins[d * n_tiles + tile];
  __syncwarp();
  walk_tile(ids, R, tile, shift, next[warp], [&](int i, int id, int slot) {
    to.id[slot] = id;
    to.row[slot] = rows ? rows[i] : i;
  });
}

// What sorting R keys takes of memory.
struct SortSpace {
  Keys keys[2];
  int* counts;  // [kDigits, tiles]
};

inline int64_t n_sort_tiles(int64_t R) { return ceil_div(R, kSortTile); }

// The sorted keys, which are one of space.keys. ids lie in [0, V).
inline Keys sort_rows(const Exec& ex, const int* ids, int R, int64_t V, const SortSpace& space) {
  const int n_tiles = static_cast<int>(n_sort_tiles(R));
  const Launch tiles{.grid = static_cast<unsigned>(ceil_div(n_tiles, kSortWarps)), .block = 32 * kSortWarps};
  const int bits = std::max(1, static_cast<int>(std::bit_width(static_cast<uint64_t>(V - 1))));
  Keys from{const_cast<int*>(ids), nullptr};
  for (int shift = 0, pass = 0; shift < bits; shift += 8, ++pass) {
    const Keys to = space.keys[pass % 2];
    launch(ex, count_digits, tiles, from.id, R, shift, n_tiles, space.counts);
    launch(ex, sum_before, {.grid = 1, .block = kScanThreads}, space.counts, kDigits * n_tiles);
    launch(ex, move_keys, tiles, from.id, from.row, to, R, shift, n_tiles, space.counts);
    from = to;
  }
  return from;
}

}  // namespace rk::cuda
