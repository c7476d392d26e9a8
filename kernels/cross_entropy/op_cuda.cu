#include "kernels/cross_entropy/op.h"

#include <cfloat>
#include <climits>

#include "kernels/common/fast_math.cuh"
#include "kernels/common/reduce.cuh"
#include "kernels/cross_entropy/row.cuh"

namespace rk::cuda {
namespace {

constexpr int kThreads = kRowThreads;

// exp(x - top): the difference first, which is exact near the maximum.
__device__ __forceinline__ float term(float x, float top) { return fast_exp2((x - top) * 1.44269504f); }

template <class T>
struct Rows {
  T* logits;
  const int32_t* targets;
  const float* weights;
  const double* loss_scale;
  double scale, l2_scale;
  float* row_loss;
  double* row_sum;  // weight * loss
  int64_t R, V;
  int shared_packs;  // of a row that each thread holds in shared memory
};

// What a thread, then the block, knows of a row.
struct Softmax {
  float top = -FLT_MAX;  // maximum
  int pack = 0;          // this thread's first one that holds it
  float sum = 0;         // of exp(z - top)
};

// Maximum and sum in one pass: what is summed shrinks whenever the maximum grows.
template <bool LAST, class T, int W>
__device__ Softmax scan(Row<T, W>& row) {
  Softmax s;
  float sums[2] = {};
  row.template pass<true, LAST>([&](const Pack<T, W>& p, int number) {
    float here = to_float(p.x[0]);
#pragma unroll
    for (int i = 1; i < W; ++i) here = fmaxf(here, to_float(p.x[i]));
    if (here > s.top) {
      const float smaller = term(s.top, here);
      sums[0] *= smaller;
      sums[1] *= smaller;
      s.top = here;
      s.pack = number;
    }
#pragma unroll
    for (int i = 0; i < W; ++i) sums[i % 2] += term(to_float(p.x[i]), s.top);
  });
  s.sum = sums[0] + sums[1];
  return s;
}

__device__ float block_max(float x) {
  __shared__ float part[kThreads / 32];
  x = warp_max(x);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = x;
  __syncthreads();
  return warp_max<kThreads / 32>(part[threadIdx.x % (kThreads / 32)]);
}

// Of the whole row.
__device__ Softmax combine(const Softmax& mine) {
  Softmax all = mine;
  all.top = block_max(mine.top);
  float sum[1] = {mine.sum * term(mine.top, all.top)};
  block_sum<kThreads>(sum);
  all.sum = sum[0];
  return all;
}

// Lowest column of the row that holds the maximum; INT_MAX where none does (NaN). Only thread 0 gets it.
template <class T, int W>
__device__ int lowest_maximum(const Row<T, W>& row, const Softmax& mine, float top) {
  __shared__ int part[kThreads / 32];
  int lowest = INT_MAX;
  if (mine.top == top) {
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

// Factors of a row's two gradients.
struct Scales {
  float loss, l2;
};

template <class T, int W>
__device__ void put_gradient(Row<T, W>& row, T* z, int target, float of_target, const Softmax& mine, const Softmax& all,
                             const Scales& scales) {
  const int lowest = scales.l2 != 0 ? lowest_maximum(row, mine, all.top) : INT_MAX;
  __syncthreads();  // who looked for the maximum has read the logits again
  const float share = scales.loss / all.sum;
  if (target >= 0) {
    row.template pass<false, true>([&](const Pack<T, W>& p, int number) {
      Pack<T, W> d;
#pragma unroll
      for (int i = 0; i < W; ++i) d.x[i] = from_float<T>(term(to_float(p.x[i]), all.top) * share);
      row.put(d, number);
    });
  } else {
    row.template pass<false, true>([&](const Pack<T, W>&, int number) { row.put(Pack<T, W>{}, number); });
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  const float push = lowest == INT_MAX ? 0.0f : scales.l2 * all.top;
  if (of_target == of_target) {
    const float d = term(of_target, all.top) * share - scales.loss;
    z[target] = from_float<T>(target == lowest ? d + push : d);
  }
  if (lowest != INT_MAX && lowest != target) z[lowest] = from_float<T>(target >= 0 ? share + push : push);
}

// A block takes every gridDim.x-th row. Memory: every logit read once and, where the gradient is wanted, written once.
template <class T, int W, bool GRADIENT>
__global__ __launch_bounds__(kThreads, 2) void cross_entropy(Rows<T> a) {
  const double outer = a.loss_scale ? *a.loss_scale : 1.0;
  Row<T, W> row(a.V, shared_memory<Pack<T, W>>(), a.shared_packs);
  row.set_next(a.logits + blockIdx.x * a.V);
  for (int64_t r = blockIdx.x; r < a.R; r += gridDim.x) {
    T* z = a.logits + r * a.V;
    row.advance();
    row.set_next(r + gridDim.x < a.R ? z + gridDim.x * a.V : nullptr);
    const int target = a.targets[r];
    const bool counted = target >= 0;
    const float of_target = counted && target < a.V ? to_float(z[target]) : NAN;
    const double weight = a.weights ? static_cast<double>(a.weights[r]) : 1.0;
    const Softmax mine = scan<!GRADIENT>(row), all = combine(mine);
    if (threadIdx.x == 0) {
      const double ce = counted ? static_cast<double>(all.top) + static_cast<double>(logf(all.sum)) - static_cast<double>(of_target) : 0.0;
      if (a.row_loss) a.row_loss[r] = static_cast<float>(ce);
      a.row_sum[r] = counted ? weight * ce : 0.0;
    }
    if constexpr (GRADIENT) {
      const Scales scales{static_cast<float>(outer * a.scale * weight), target == kNoRow ? 0.0f : static_cast<float>(outer * a.l2_scale)};
      put_gradient(row, z, target, of_target, mine, all, scales);
    }
  }
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
void rows(const Exec& ex, Rows<T> a, bool want_gradient) {
  constexpr int64_t sweep = kThreads * sizeof(Pack<T, W>);
  const int64_t wanted = std::max<int64_t>(0, ceil_div(a.V, W * kThreads) - kHeldPacks);
  const int64_t fitting = (static_cast<int64_t>(ex.gpu->shared_limit()) / 2 - 1024) / sweep;  // two blocks on one processor
  a.shared_packs = static_cast<int>(std::min(wanted, fitting));
  const Launch grid{.grid = static_cast<unsigned>(std::min<int64_t>(a.R, 2 * ex.gpu->n_sm())),
                    .block = kThreads,
                    .shared = static_cast<size_t>(a.shared_packs * sweep)};
  if (want_gradient) {
    launch(ex, cross_entropy<T, W, true>, grid, a);
  } else {
    launch(ex, cross_entropy<T, W, false>, grid, a);
  }
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
                    .row_loss = maybe<float>(a.row_loss),
                    .row_sum = row_sum.as<double>(),
                    .R = R,
                    .V = V,
                    .shared_packs = 0};
    if (V % kWide<T> == 0) {
      rows<T, kWide<T>>(ex, p, a.want_gradient);
    } else {
      rows<T, 1>(ex, p, a.want_gradient);
    }
  });
  launch(ex, add_losses, {.grid = 1, .block = kSumThreads}, row_sum.as<double>(), R, a.loss_sum.as<double>());
}

}  // namespace rk::cuda
