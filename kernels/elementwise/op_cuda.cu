// Sum of squares: blocks of a fixed number of elements leave one double each, a single block adds those in a fixed order. Reads x once.
// Fill: writes x once.
#include "kernels/common/reduce.cuh"
#include "kernels/elementwise/convert.cuh"
#include "kernels/elementwise/op.h"

namespace rk::cuda {
namespace {

constexpr int kSquareThreads = 256, kSquareElements = 32768, kTotalThreads = 1024;

// The sum over a block of THREADS threads, given to the first thread.
template <int THREADS>
__device__ double block_total(double x) {
  constexpr int warps = THREADS / 32;
  __shared__ double part[warps];
#pragma unroll
  for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(kWholeWarp, x, step);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = x;
  __syncthreads();
  double total = 0;
  if (threadIdx.x == 0) {
    for (int w = 0; w < warps; ++w) total += part[w];
  }
  return total;
}

template <class T, int W>
__global__ void __launch_bounds__(kSquareThreads) sum_squares(const T* x, int64_t n, double* sums) {
  constexpr int packs = kSquareElements / W, in_flight = 8;
  static_assert(packs % (kSquareThreads * in_flight) == 0);
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kSquareElements;
  const T* const from = x + first;
  const int here = static_cast<int>(min(static_cast<int64_t>(kSquareElements), n - first));
  double sum[W] = {};
  for (int base = static_cast<int>(threadIdx.x); base < packs; base += kSquareThreads * in_flight) {
    Pack<T, W> in[in_flight] = {};
#pragma unroll
    for (int u = 0; u < in_flight; ++u) {
      const int at = (base + u * kSquareThreads) * W;
      if (at + W <= here) {
        in[u] = *reinterpret_cast<const Pack<T, W>*>(from + at);
      } else {
#pragma unroll
        for (int j = 0; j < W; ++j) {
          if (at + j < here) in[u].x[j] = from[at + j];
        }
      }
    }
#pragma unroll
    for (int u = 0; u < in_flight; ++u) {
#pragma unroll
      for (int j = 0; j < W; ++j) {
        const double value = convert<double>(in[u].x[j]);
        sum[j] += value * value;
      }
    }
  }
  double mine = 0;
#pragma unroll
  for (int j = 0; j < W; ++j) mine += sum[j];
  const double total = block_total<kSquareThreads>(mine);
  if (threadIdx.x == 0) sums[blockIdx.x] = total;
}

__global__ void __launch_bounds__(kTotalThreads) add_sums(const double* sums, int n, double* out) {
  double sum = 0;
#pragma unroll 8
  for (int i = static_cast<int>(threadIdx.x); i < n; i += kTotalThreads) sum += sums[i];
  const double total = block_total<kTotalThreads>(sum);
  if (threadIdx.x == 0) *out += total;
}

template <class T, int W>
struct FillPacks {
  T* x;
  T value;
  struct Loaded {};
  __device__ Loaded load(int64_t) const { return {}; }
  __device__ void store(int64_t i, const Loaded&) const {
    Pack<T, W> out;
#pragma unroll
    for (int j = 0; j < W; ++j) out.x[j] = value;
    *reinterpret_cast<Pack<T, W>*>(x + i * W) = out;
  }
};

template <class T>
T host_number(double x) {
  if constexpr (std::is_same_v<T, __nv_bfloat16>) {
    return __float2bfloat16_rn(static_cast<float>(x));
  } else if constexpr (std::is_same_v<T, __half>) {
    return __float2half_rn(static_cast<float>(x));
  } else {
    return static_cast<T>(x);
  }
}

}  // namespace

void run(const Exec& ex, const SumOfSquares& a) {
  const int64_t n = a.x.numel(), n_blocks = ceil_div(n, kSquareElements);
  ArenaScope scope(*ex.scratch);
  const Tensor sums = ex.scratch->take(DType::f64, {n_blocks});
  if (ex.dry()) return;
  const Launch blocks{.grid = static_cast<unsigned>(n_blocks), .block = kSquareThreads};
  with_number(a.x.dtype, [&]<class T>() {
    const T* x = a.x.as<T>();
    auto* const kernel = aligned(x, 16) ? sum_squares<T, kWide<T>> : sum_squares<T, 1>;
    launch(ex, kernel, blocks, x, n, sums.as<double>());
  });
  launch(ex, add_sums, {.grid = 1, .block = kTotalThreads}, sums.as<double>(), static_cast<int>(n_blocks), a.out.as<double>());
}

void run(const Exec& ex, const Fill& a) {
  if (ex.dry()) return;
  with_number(a.x.dtype, [&]<class T>() {
    constexpr int W = kWide<T>;
    T* x = a.x.as<T>();
    const int64_t n = a.x.numel(), done = aligned(x, 16) ? n / W * W : 0;
    const T value = host_number<T>(a.value);
    for_each_index(ex, done / W, FillPacks<T, W>{x, value});
    for_each_index(ex, n - done, FillPacks<T, 1>{x + done, value});
  });
}

}  // namespace rk::cuda
