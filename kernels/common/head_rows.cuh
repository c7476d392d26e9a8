// Rows made of heads, spread over warps: for operators that sum over the channels of a head and, for gradients of parameters, over rows.
// A lane holds eight neighbouring channels of one head, a warp works on one row of its heads at a time, and a block keeps its columns for
// all its rows, so that parameters are read once and their gradients stay in registers.
#pragma once
#include <bit>

#include "kernels/common/numbers.cuh"
#include "kernels/common/reduce.cuh"

namespace rk::cuda {

inline constexpr int kHeadWarps = 8, kHeadThreads = 32 * kHeadWarps, kLaneChannels = 8;

// Cut of R rows of C = H * N channels into blocks. N is a multiple of 8 up to 256.
struct HeadRows {
  int R, C, N;
  int rows;   // of one block
  int lanes;  // that share a head: a power of two, the last ones may be idle

  HeadRows(int64_t n_rows, int64_t n_columns, int64_t channels, int64_t rows_per_block)
      : R(static_cast<int>(n_rows)),
        C(static_cast<int>(n_columns)),
        N(static_cast<int>(channels)),
        rows(static_cast<int>(rows_per_block)),
        lanes(1) {
    while (lanes * kLaneChannels < N) lanes *= 2;
  }
  int64_t n_blocks() const { return ceil_div(R, rows); }
  // Warps side by side in a row.
  __host__ __device__ int across() const { return (C / N + 32 / lanes - 1) / (32 / lanes); }
  Launch over(unsigned planes, size_t shared = 0) const {
    return {.grid = dim3(static_cast<unsigned>(across() * n_blocks()), 1, planes), .block = kHeadThreads, .shared = shared};
  }
};

// Rows of a block whose sums are kept as one partial sum: from R alone, so that sums do not depend on the chip. 64 to 128 rows are fastest,
// fewer where blocks would be few, more where partial sums would be many.
inline int64_t rows_of_partial(int64_t R) {
  const int64_t rows = std::max(std::min<int64_t>(ceil_div(R, 256), 128), ceil_div(R, 1024));
  return ceil_div(rows, kHeadWarps) * kHeadWarps;
}

// Where this thread works. LANES: s.lanes where known to the compiler, otherwise 0.
template <int LANES>
class HeadPlace {
 public:
  __device__ explicit HeadPlace(const HeadRows& s)
      : s_(s), rows_(static_cast<int>(blockIdx.x) / s.across()), across_(static_cast<int>(blockIdx.x) % s.across()) {
    channel_ = column(static_cast<int>(threadIdx.x) % 32, inside_);
  }

  // Idle lanes read column 0 and write nothing.
  __device__ bool inside() const { return inside_; }
  __device__ int channel() const { return channel_; }
  __device__ int first_row() const { return rows_ * s_.rows + static_cast<int>(threadIdx.x) / 32; }
  __device__ int last_row() const { return min(s_.R, (rows_ + 1) * s_.rows); }
  // Of this thread's first channel in the tensor.
  __device__ int64_t at(int row) const { return static_cast<int64_t>(row) * s_.C + channel_; }

  // Every lane of a head gets the sum over its lanes.
  __device__ float head_sum(float x) const {
    if constexpr (LANES > 0) {
      return warp_sum<LANES>(x);
    } else {
      x = inside_ ? x : 0.0f;
      for (int step = s_.lanes / 2; step > 0; step /= 2) x += __shfl_xor_sync(kWholeWarp, x, step);
      return x;
    }
  }

  // Sum over the block's warps of x[n], in the order of warps, to partial[block of rows][first + n][column]; there are n_vectors of them.
  template <int N_SUMS>
  __device__ void store_sums(const float (&x)[N_SUMS][kLaneChannels], float* partial, int n_vectors, int first) const {
    partial += (static_cast<int64_t>(rows_) * n_vectors + first) * s_.C;
    float(*part)[32 * kLaneChannels] = space_of_sums();
    const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
    bool there;
    const int c = column(thread / kLaneChannels, there) + thread % kLaneChannels;
    for (int n = 0; n < N_SUMS; ++n) {
      __syncthreads();
#pragma unroll
      for (int i = 0; i < kLaneChannels; ++i) part[warp][lane * kLaneChannels + i] = x[n][i];
      __syncthreads();
      float sum = 0;
#pragma unroll
      for (int w = 0; w < kHeadWarps; ++w) sum += part[w][thread];
      if (there) partial[static_cast<int64_t>(n) * s_.C + c] = sum;
    }
  }

 private:
  __device__ static auto space_of_sums() -> float (*)[32 * kLaneChannels] {
    __shared__ float part[kHeadWarps][32 * kLaneChannels];
    return part;
  }
  __device__ int column(int lane, bool& there) const {
    const int lanes = LANES > 0 ? LANES : s_.lanes;
    const int head = across_ * (32 / lanes) + lane / lanes, in_head = lane % lanes * kLaneChannels;
    there = head * s_.N < s_.C && in_head < s_.N;
    return there ? head * s_.N + in_head : 0;
  }

  HeadRows s_;
  int rows_, across_;  // which block of rows, which of the warps side by side
  int channel_;
  bool inside_;
};

template <class T>
inline constexpr int kLaneParts = kLaneChannels / kWide<T>;

// A lane's eight neighbours as memory holds them: half the registers of their floats. Moved in accesses of 16 bytes.
template <class T>
class Lane {
 public:
  __device__ __forceinline__ explicit Lane(const T* p) : Lane(reinterpret_cast<const uint4*>(p), 1) {}
  __device__ __forceinline__ Lane(const uint4* p, int step) {
#pragma unroll
    for (int i = 0; i < kLaneParts<T>; ++i) part_[i] = std::bit_cast<P>(p[i * step]);
  }
  __device__ __forceinline__ float operator[](int i) const { return to_float(part_[i / kWide<T>].x[i % kWide<T>]); }

 private:
  using P = Pack<T, kWide<T>>;
  P part_[kLaneParts<T>];
};
template <class T>
__device__ __forceinline__ void store_lane(T* p, const float (&x)[kLaneChannels]) {
  constexpr int W = kWide<T>;
#pragma unroll
  for (int i = 0; i < kLaneChannels; i += W) {
    float part[W];
#pragma unroll
    for (int j = 0; j < W; ++j) part[j] = x[i + j];
    store<W>(p + i, part);
  }
}

// Calls f.operator()<LANES>() for heads of N channels: heads of 64 are compiled for.
template <class F>
void with_lanes(int64_t N, const F& f) {
  if (N == 64) {
    f.template operator()<8>();
  } else {
    f.template operator()<0>();
  }
}

}  // namespace rk::cuda
