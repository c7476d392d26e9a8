// Each block adds the words of its elements up and then to the result: sums of whole numbers are exact in any order. Reads x once.
#include "kernels/common/launch.cuh"
#include "kernels/common/reduce.cuh"
#include "kernels/state_hash/op.h"
#include "kernels/state_hash/word.h"

namespace rk::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kMostBlocks = 4096;

template <class Bits>
__global__ void __launch_bounds__(kThreads) add_words(const Bits* x, int64_t n, uint64_t key, int64_t first, unsigned long long* out) {
  __shared__ unsigned long long part[kThreads / 32];
  unsigned long long sum = 0;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < n; i += static_cast<int64_t>(gridDim.x) * kThreads)
    sum += state_word(key, first + i, x[i]);
  for (int step = 16; step > 0; step /= 2) sum += __shfl_xor_sync(kWholeWarp, sum, step);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int w = 1; w < kThreads / 32; ++w) sum += part[w];
  atomicAdd(out, sum);
}

template <class Bits>
void add(const Exec& ex, const StateHash& a) {
  const int64_t n = a.x.numel(), blocks = std::min(ceil_div(n, kThreads), kMostBlocks);
  launch(ex, add_words<Bits>, {.grid = static_cast<unsigned>(blocks), .block = kThreads}, static_cast<const Bits*>(a.x.data), n, a.key,
         a.first, static_cast<unsigned long long*>(a.out.data));
}

}  // namespace

void run(const Exec& ex, const StateHash& a) {
  if (a.x.dtype == DType::f32)
    add<uint32_t>(ex, a);
  else
    add<uint64_t>(ex, a);
}

}  // namespace rk::cuda
