// Squares by block: a warp takes a block of 1024 elements, reads it once and leaves one double. Sums in order: one block of threads.
#include "kernels/common/reduce.cuh"
#include "kernels/elementwise/convert.cuh"
#include "kernels/elementwise/op.h"

namespace rk::cuda {
namespace {

constexpr int kWarps = 8, kSumThreads = 1024;

__device__ double warp_total(double x) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(kWholeWarp, x, step);
  return x;
}

template <class T>
__global__ void __launch_bounds__(kWarps * 32) square_blocks(const T* x, int64_t n, double* sums) {
  const int64_t block = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32, first = block * kSquareBlock;
  if (first >= n) return;
  double sum = 0;
#pragma unroll 8
  for (int i = static_cast<int>(threadIdx.x % 32); i < kSquareBlock; i += 32) {
    if (first + i >= n) break;
    const double value = convert<double>(x[first + i]);
    sum += value * value;
  }
  __syncwarp();
  sum = warp_total(sum);
  if (threadIdx.x % 32 == 0) sums[block] = sum;
}

// Thread t adds x[t], x[t + 1024], ...; then threads are added: places decide the order, and zeros behind the last number change nothing.
__global__ void __launch_bounds__(kSumThreads) sum_in_order(const double* x, int64_t n, double* out) {
  __shared__ double part[kSumThreads / 32];
  double sum = 0;
#pragma unroll 8
  for (int64_t i = threadIdx.x; i < n; i += kSumThreads) sum += x[i];
  sum = warp_total(sum);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  double total = 0;
  for (double p : part) total += p;
  *out = total;
}

}  // namespace

void run(const Exec& ex, const SquareBlocks& a) {
  if (ex.dry()) return;
  const int64_t n = a.x.numel();
  if (n == 0) return;
  const Launch blocks{.grid = static_cast<unsigned>(ceil_div(a.out.numel(), kWarps)), .block = kWarps * 32};
  with_number(a.x.dtype, [&]<class T>() { launch(ex, square_blocks<T>, blocks, a.x.as<T>(), n, a.out.as<double>()); });
}

void run(const Exec& ex, const OrderedSum& a) {
  if (ex.dry()) return;
  launch(ex, sum_in_order, {.grid = 1, .block = kSumThreads}, a.x.as<double>(), a.x.numel(), a.out.as<double>());
}

}  // namespace rk::cuda
