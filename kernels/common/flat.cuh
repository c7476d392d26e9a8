// Flat element-wise work: a kernel over indices, four of them in flight in every thread.
#pragma once
#include "kernels/common/numbers.cuh"

namespace rk::cuda {

inline constexpr int kFlatThreads = 256, kFlatSteps = 4;

// Op: `Loaded load(int64_t i)` reads what index i needs, `store(int64_t i, const Loaded&)` writes its results.
template <class Op>
__global__ void __launch_bounds__(kFlatThreads) each_index(int64_t n, Op op) {
  const int64_t first = static_cast<int64_t>(blockIdx.x) * (kFlatThreads * kFlatSteps) + threadIdx.x;
  if (first + (kFlatSteps - 1) * kFlatThreads < n) {
    typename Op::Loaded in[kFlatSteps];
#pragma unroll
    for (int step = 0; step < kFlatSteps; ++step) in[step] = op.load(first + step * kFlatThreads);
#pragma unroll
    for (int step = 0; step < kFlatSteps; ++step) op.store(first + step * kFlatThreads, in[step]);
  } else {
    for (int64_t i = first; i < n; i += kFlatThreads) op.store(i, op.load(i));
  }
}

template <class Op>
void for_each_index(const Exec& ex, int64_t n, const Op& op) {
  const auto blocks = static_cast<unsigned>(ceil_div(n, kFlatThreads * kFlatSteps));
  launch(ex, each_index<Op>, {.grid = blocks, .block = kFlatThreads}, n, op);
}

inline bool aligned(const void* p, size_t n_bytes) { return reinterpret_cast<uintptr_t>(p) % n_bytes == 0; }

}  // namespace rk::cuda
