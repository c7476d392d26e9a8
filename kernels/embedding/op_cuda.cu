// Embedding. Forward reads and writes each row once. Backward sorts rows by token, then cuts the sorted order into tiles of 32 positions:
// a token's rows inside one tile are summed and added to the table by that tile's block, a token whose rows reach into further tiles leaves
// one partial sum in each of them, which a second kernel adds in order. So a token that occurs thousands of times is summed by many blocks,
// and the order of sums depends on the ids alone. Reads dx once, reads and writes each table row that occurs once.
#include "kernels/common/flat.cuh"
#include "kernels/embedding/op.h"
#include "kernels/embedding/sort_cuda.cuh"

namespace rk::cuda {
namespace {

constexpr int kThreads = 128, kTile = 32;

// Rows as runs of words W.
template <class W>
struct CopyRows {
  const int* ids;
  const W* table;
  W* x;
  int64_t words;  // of a row
  using Loaded = W;
  __device__ Loaded load(int64_t i) const {
    const int64_t row = i / words;
    return table[ids[row] * words + (i - row * words)];
  }
  __device__ void store(int64_t i, const Loaded& in) const { x[i] = in; }
};

struct Sums {
  Keys sorted;
  float* table;    // [V,C]
  float* partial;  // [tiles, 2, C]: of the token that came in from the tile before, of the token that goes on into the next tile
  int R, C;
};

template <int W>
__device__ __forceinline__ void add_to(float* p, const float (&sum)[W]) {
  float x[W];
  load(p, x);
#pragma unroll
  for (int j = 0; j < W; ++j) x[j] += sum[j];
  store(p, x);
}

template <class T, int W>
__global__ void __launch_bounds__(kThreads) sum_tiles(const T* dx, Sums a) {
  __shared__ int ids[kTile + 2], rows[kTile];  // ids with a neighbour on both sides, -1 outside
  const int first = static_cast<int>(blockIdx.x) * kTile, n = min(kTile, a.R - first);
  for (int i = static_cast<int>(threadIdx.x); i < kTile + 2; i += kThreads) {
    const int at = first + i - 1;
    ids[i] = at >= 0 && at < a.R ? a.sorted.id[at] : -1;
    if (i < n) rows[i] = a.sorted.row[first + i];
  }
  __syncthreads();
  const int c = static_cast<int>(blockIdx.y * kThreads + threadIdx.x) * W;
  if (c >= a.C) return;
  float* const came_in = a.partial + static_cast<int64_t>(blockIdx.x) * 2 * a.C + c;
  const bool comes_in = ids[0] == ids[1], goes_on = n == kTile && ids[kTile] == ids[kTile + 1];
  const int first_id = ids[1], last_id = ids[n];
  float sum[W] = {};
#pragma unroll 8
  for (int i = 0; i < n; ++i) {
    float in[W];
    load(dx + static_cast<int64_t>(rows[i]) * a.C + c, in);
#pragma unroll
    for (int j = 0; j < W; ++j) sum[j] += in[j];
    const int id = ids[i + 1];
    if (i + 1 < n && ids[i + 2] == id) continue;
    if (comes_in && id == first_id) {
      store(came_in, sum);
    } else if (goes_on && id == last_id) {
      store(came_in + a.C, sum);
    } else {
      add_to(a.table + static_cast<int64_t>(id) * a.C + c, sum);
    }
#pragma unroll
    for (int j = 0; j < W; ++j) sum[j] = 0;
  }
}

// A token that reaches over tiles is added up by the tile in which it begins.
template <int W>
__global__ void __launch_bounds__(kThreads) add_tiles(Sums a) {
  const int tile = static_cast<int>(blockIdx.x), last = (tile + 1) * kTile - 1;
  if (last + 1 >= a.R) return;
  const int id = a.sorted.id[last];
  const bool goes_on = a.sorted.id[last + 1] == id, comes_in = tile > 0 && a.sorted.id[tile * kTile - 1] == id;
  if (!goes_on || comes_in) return;
  int n_more = 0;  // further tiles that begin with this token
  for (int found = kThreads; found == kThreads; n_more += found) {
    const int64_t begin = (int64_t{tile} + 1 + n_more + threadIdx.x) * kTile;
    found = __syncthreads_count(begin < a.R && a.sorted.id[begin] == id);
  }
  const int c = static_cast<int>(blockIdx.y * kThreads + threadIdx.x) * W;
  if (c >= a.C) return;
  float sum[W];
  load(a.partial + (static_cast<int64_t>(tile) * 2 + 1) * a.C + c, sum);
#pragma unroll 8
  for (int i = 1; i <= n_more; ++i) {
    float in[W];
    load(a.partial + static_cast<int64_t>(tile + i) * 2 * a.C + c, in);
#pragma unroll
    for (int j = 0; j < W; ++j) sum[j] += in[j];
  }
  add_to(a.table + static_cast<int64_t>(id) * a.C + c, sum);
}

template <class T, int W>
void run_sums(const Exec& ex, const T* dx, const Sums& a) {
  const dim3 grid(static_cast<unsigned>(ceil_div(a.R, kTile)), static_cast<unsigned>(ceil_div(a.C, kThreads * W)));
  launch(ex, sum_tiles<T, W>, {.grid = grid, .block = kThreads}, dx, a);
  launch(ex, add_tiles<W>, {.grid = grid, .block = kThreads}, a);
}

}  // namespace

void run(const Exec& ex, const EmbeddingForward& a) {
  if (ex.dry()) return;
  const int64_t row_bytes = a.table.shape[1] * static_cast<int64_t>(size_of(a.table.dtype)), n_bytes = a.ids.numel() * row_bytes;
  const int* ids = a.ids.as<int32_t>();
  const auto copy_words = [&]<class W>() {
    constexpr auto size = static_cast<int64_t>(sizeof(W));
    for_each_index(ex, n_bytes / size, CopyRows<W>{ids, static_cast<const W*>(a.table.data), static_cast<W*>(a.x.data), row_bytes / size});
  };
  if (row_bytes % 16 == 0 && aligned(a.table.data, 16) && aligned(a.x.data, 16)) {
    copy_words.operator()<uint4>();
  } else {
    copy_words.operator()<uint16_t>();
  }
}

void run(const Exec& ex, const EmbeddingBackward& a) {
  const int64_t R = a.ids.numel(), V = a.dtable.shape[0], C = a.dtable.shape[1];
  ArenaScope scope(*ex.scratch);
  const Tensor keys = ex.scratch->take(DType::i32, {4, R});
  const Tensor counts = ex.scratch->take(DType::i32, {kDigits, n_sort_tiles(R)});
  const Tensor partial = ex.scratch->take(DType::f32, {ceil_div(R, kTile), 2, C});
  if (ex.dry()) return;
  int* const k = keys.as<int32_t>();
  const SortSpace space{.keys = {{k, k + R}, {k + 2 * R, k + 3 * R}}, .counts = counts.as<int32_t>()};
  const Keys sorted = sort_rows(ex, a.ids.as<int32_t>(), static_cast<int>(R), V, space);
  const Sums sums{sorted, a.dtable.as<float>(), partial.as<float>(), static_cast<int>(R), static_cast<int>(C)};
  with_dtype(a.dx.dtype, [&]<class T>() {
    const T* dx = a.dx.as<T>();
    constexpr int W = 4;
    const bool wide = C % W == 0 && aligned(dx, 16) && aligned(sums.table, 16);
    (wide ? run_sums<T, W> : run_sums<T, 1>)(ex, dx, sums);
  });
}

}  // namespace rk::cuda
