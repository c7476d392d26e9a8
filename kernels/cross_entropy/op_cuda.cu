#include "kernels/cross_entropy/op.h"

#include <bit>
#include <climits>
#include <type_traits>

#include "kernels/common/mma.cuh"
#include "kernels/common/numbers.cuh"
#include "kernels/common/reduce.cuh"
#include "kernels/common/tuning.cuh"

namespace rk::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kHeld = 6;  // packs of a row that each thread holds in registers

// exp(x - top): the difference first, which is exact near the maximum.
__device__ __forceinline__ float term(float x, float top) { return fast_exp2((x - top) * 1.44269504f); }

template <class T>
struct Rows {
  T* logits;
  const int32_t* targets;
  const float* weights;
  const double* loss_scale;
  double scale, l2_scale;
  bool want_gradient;
  float* row_loss;
  double* row_sum;  // weight * loss
  int64_t V;
  int shared_packs;  // of a row that each thread holds in shared memory
};

// One row on the chip. Thread t has packs t, t + kThreads, ...: the first ones in registers, then some in shared memory; those of a longer
// row are read again each time. So a row of 65536 16-bit logits is read from memory once.
template <class T, int W>
class Row {
 public:
  using P = Pack<T, W>;
  using Bits = std::conditional_t<sizeof(P) == 16, uint4, P>;  // whole registers

  __device__ Row(T* z, int64_t V, P* shared, int shared_packs) : z_(reinterpret_cast<P*>(z)), shared_(shared + threadIdx.x) {
    n_ = static_cast<int>((V / W + kThreads - 1 - threadIdx.x) / kThreads);
    n_shared_ = min(n_, kHeld + shared_packs);
    for (int i = kHeld; i < n_shared_; ++i) {
      if constexpr (sizeof(P) == 16) {
        copy_async_16(&shared_[(i - kHeld) * kThreads], &z_[place(i)], true);
      } else {
        shared_[(i - kHeld) * kThreads] = z_[place(i)];
      }
    }
    copy_async_commit();
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      if (i < n_) held_[i] = reinterpret_cast<const Bits*>(z_)[place(i)];
    }
    copy_async_wait<0>();
  }

  // f(pack, number) in the order of numbers.
  template <class F>
  __device__ void each(const F& f) {
#pragma unroll
    for (int i = 0; i < kHeld; ++i) {
      if constexpr (sizeof(P) == 16) forget(held_[i]);
      if (i < n_) f(std::bit_cast<P>(held_[i]), i);
    }
#pragma unroll 1
    for (int i = kHeld; i < n_shared_; ++i) f(shared_[(i - kHeld) * kThreads], i);
#pragma unroll 1
    for (int i = n_shared_; i < n_; ++i) f(z_[place(i)], i);
  }
  __device__ void put(const P& p, int number) const { z_[place(number)] = p; }
  __device__ P again(int number) const { return z_[place(number)]; }
  // First column of a pack of this thread.
  __device__ int column(int number) const { return place(number) * W; }

 private:
  __device__ int place(int number) const { return number * kThreads + static_cast<int>(threadIdx.x); }

  P* z_;
  P* shared_;
  int n_, n_shared_;
  Bits held_[kHeld];
};

struct Top {
  float value;
  int pack;  // this thread's first one that holds the value
};

template <class T, int W>
__device__ Top maximum(Row<T, W>& row) {
  Top top{-INFINITY, 0};
  row.each([&](const Pack<T, W>& p, int number) {
    float here = to_float(p.x[0]);
#pragma unroll
    for (int i = 1; i < W; ++i) here = fmaxf(here, to_float(p.x[i]));
    if (here > top.value) top = {here, number};
  });
  return top;
}

__device__ float block_max(float x) {
  __shared__ float part[kThreads / 32];
  x = warp_max(x);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = x;
  __syncthreads();
  return warp_max<kThreads / 32>(part[threadIdx.x % (kThreads / 32)]);
}

// Lowest column of the row that holds the block's maximum; INT_MAX where none does (NaN). Only thread 0 gets it.
template <class T, int W>
__device__ int lowest_maximum(Row<T, W>& row, const Top& mine, float top) {
  __shared__ int part[kThreads / 32];
  int lowest = INT_MAX;
  if (mine.value == top) {
    const Pack<T, W> p = row.again(mine.pack);
    for (int i = W - 1; i >= 0; --i) {
      if (to_float(p.x[i]) == top) lowest = row.column(mine.pack) + i;
    }
  }
  for (int step = 16; step > 0; step /= 2) lowest = min(lowest, __shfl_xor_sync(kWholeWarp, lowest, step));
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = lowest;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int w = 1; w < kThreads / 32; ++w) lowest = min(lowest, part[w]);
  }
  return lowest;
}

template <class T, int W>
__device__ float sum_exp(Row<T, W>& row, float top) {
  float sums[2] = {};
  row.each([&](const Pack<T, W>& p, int) {
#pragma unroll
    for (int i = 0; i < W; ++i) sums[i % 2] += term(to_float(p.x[i]), top);
  });
  float sum[1] = {sums[0] + sums[1]};
  block_sum<kThreads>(sum);
  return sum[0];
}

// One block a row. Memory: every logit read once and, where the gradient is wanted, written once.
template <class T, int W>
__global__ __launch_bounds__(kThreads, 2) void cross_entropy(Rows<T> a) {
  const int64_t r = blockIdx.x;
  T* z = a.logits + r * a.V;
  const int target = a.targets[r];
  const bool counted = target >= 0, inside = target < a.V;
  const float of_target = counted && inside ? to_float(z[target]) : NAN;
  Row<T, W> row(z, a.V, shared_memory<Pack<T, W>>(), a.shared_packs);
  const Top mine = maximum(row);
  const float top = block_max(mine.value);
  const float sum = counted ? sum_exp(row, top) : 1.0f;
  const double weight = a.weights ? static_cast<double>(a.weights[r]) : 1.0;
  if (threadIdx.x == 0) {
    const double ce = counted ? static_cast<double>(top) + static_cast<double>(logf(sum)) - static_cast<double>(of_target) : 0.0;
    if (a.row_loss) a.row_loss[r] = static_cast<float>(ce);
    a.row_sum[r] = counted ? weight * ce : 0.0;
  }
  if (!a.want_gradient) return;

  const double outer = a.loss_scale ? *a.loss_scale : 1.0;
  const bool pushed = a.l2_scale != 0;
  const int lowest = pushed ? lowest_maximum(row, mine, top) : INT_MAX;
  __syncthreads();  // who looked for the maximum has read the logits again
  const float factor = static_cast<float>(outer * a.scale * weight), share = factor / sum;
  if (counted) {
    row.each([&](const Pack<T, W>& p, int number) {
      Pack<T, W> d;
#pragma unroll
      for (int i = 0; i < W; ++i) d.x[i] = from_float<T>(term(to_float(p.x[i]), top) * share);
      row.put(d, number);
    });
  } else {
    row.each([&](const Pack<T, W>&, int number) { row.put(Pack<T, W>{}, number); });
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  const float push = lowest == INT_MAX ? 0.0f : static_cast<float>(outer * a.l2_scale) * top;
  if (counted && inside) {
    const float d = term(of_target, top) * share - factor;
    z[target] = from_float<T>(target == lowest ? d + push : d);
  }
  if (lowest != INT_MAX && lowest != target) z[lowest] = from_float<T>(counted ? share + push : push);
}

// loss_sum += the rows' losses: thread t adds its run of neighbours, then threads' sums are added in order.
constexpr int kSumThreads = 256;
__global__ void add_losses(const double* row_sum, int64_t R, double* loss_sum) {
  __shared__ double part[kSumThreads];
  const int64_t each = (R + kSumThreads - 1) / kSumThreads, first = static_cast<int64_t>(threadIdx.x) * each;
  double sum = 0;
  for (int64_t r = first; r < min(R, first + each); ++r) sum += row_sum[r];
  part[threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int t = 1; t < kSumThreads; ++t) sum += part[t];
  *loss_sum += sum;
}

template <class T, int W>
void rows(const Exec& ex, Rows<T> a, int64_t R) {
  constexpr int64_t sweep = kThreads * sizeof(Pack<T, W>);
  const int64_t wanted = std::max<int64_t>(0, ceil_div(a.V, W * kThreads) - kHeld);
  const int64_t fitting = (static_cast<int64_t>(ex.gpu->shared_limit()) / 2 - 1024) / sweep;  // two blocks on one processor
  a.shared_packs = static_cast<int>(std::min(wanted, fitting));
  launch(ex, cross_entropy<T, W>,
         {.grid = static_cast<unsigned>(R), .block = kThreads, .shared = static_cast<size_t>(a.shared_packs * sweep)}, a);
}

}  // namespace

void run(const Exec& ex, const CrossEntropy& a, const Tensor& row_sum) {
  const int64_t R = a.targets.numel(), V = a.logits.numel() / R;
  with_dtype(a.logits.dtype, [&]<class T>() {
    const Rows<T> p{.logits = a.logits.as<T>(),
                    .targets = a.targets.as<int32_t>(),
                    .weights = maybe<float>(a.weights),
                    .loss_scale = maybe<double>(a.loss_scale),
                    .scale = a.scale,
                    .l2_scale = a.l2_scale,
                    .want_gradient = a.want_gradient,
                    .row_loss = maybe<float>(a.row_loss),
                    .row_sum = row_sum.as<double>(),
                    .V = V,
                    .shared_packs = 0};
    if (V % kWide<T> == 0) {
      rows<T, kWide<T>>(ex, p, R);
    } else {
      rows<T, 1>(ex, p, R);
    }
  });
  launch(ex, add_losses, {.grid = 1, .block = kSumThreads}, row_sum.as<double>(), R, a.loss_sum.as<double>());
}

}  // namespace rk::cuda
