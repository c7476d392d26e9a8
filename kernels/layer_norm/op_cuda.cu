// Layer norm: a warp takes a row, whose second and third reading find it in the first cache.
// Forward moves x and y once. Backward reads x and dy twice (sums over rows, then dx) and writes dx once.
#include "kernels/common/flat.cuh"
#include "kernels/common/partials.cuh"
#include "kernels/common/reduce.cuh"
#include "kernels/layer_norm/op.h"

namespace rk::cuda {
namespace {

constexpr int kThreads = 256, kRowsPerBlock = kThreads / 32;
constexpr int kColumnGroup = 32, kRowGroups = kThreads / kColumnGroup;  // of the sums over rows
constexpr int64_t kStrip = 128;                                         // rows that one block sums

template <class T, int W>
__global__ void __launch_bounds__(kThreads)
    forward(const T* xs, const T* weight, const T* bias, T* ys, float* means, float* rstds, int64_t R, int C, float eps) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kRowsPerBlock + threadIdx.x / 32;
  if (row >= R) return;
  const int begin = static_cast<int>(threadIdx.x % 32) * W;
  constexpr int step = 32 * W;
  const T* const x = xs + row * C;
  T* const y = ys + row * C;
  float sum = 0, squares = 0, in[W];
#pragma unroll 4
  for (int c = begin; c < C; c += step) {
    load(x + c, in);
#pragma unroll
    for (int j = 0; j < W; ++j) sum += in[j];
  }
  const float mean = warp_sum(sum) / static_cast<float>(C);
#pragma unroll 4
  for (int c = begin; c < C; c += step) {
    load(x + c, in);
#pragma unroll
    for (int j = 0; j < W; ++j) squares += (in[j] - mean) * (in[j] - mean);
  }
  const float rstd = 1.0f / sqrtf(warp_sum(squares) / static_cast<float>(C) + eps);
#pragma unroll 2
  for (int c = begin; c < C; c += step) {
    float w[W], b[W];
    load(x + c, in);
    load(weight + c, w);
    load(bias + c, b);
#pragma unroll
    for (int j = 0; j < W; ++j) in[j] = (in[j] - mean) * rstd * w[j] + b[j];
    store(y + c, in);
  }
  if (threadIdx.x % 32 == 0) {
    if (means) means[row] = mean;
    if (rstds) rstds[row] = rstd;
  }
}

struct Given {
  const float *mean, *rstd;
  int64_t R;
  int C;
};

template <class T, int W, bool ADD>
__global__ void __launch_bounds__(kThreads) backward(const T* xs, const T* weight, const T* dys, T* dxs, Given g) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * kRowsPerBlock + threadIdx.x / 32;
  if (row >= g.R) return;
  const int begin = static_cast<int>(threadIdx.x % 32) * W;
  constexpr int step = 32 * W;
  const T *const x = xs + row * g.C, *const dy = dys + row * g.C;
  T* const dx = dxs + row * g.C;
  const float mean = g.mean[row], rstd = g.rstd[row];
  float plain = 0, scaled = 0, in[W], grad[W], w[W];
#pragma unroll 2
  for (int c = begin; c < g.C; c += step) {
    load(x + c, in);
    load(dy + c, grad);
    load(weight + c, w);
#pragma unroll
    for (int j = 0; j < W; ++j) {
      plain += grad[j] * w[j];
      scaled += grad[j] * w[j] * ((in[j] - mean) * rstd);
    }
  }
  plain = warp_sum(plain) / static_cast<float>(g.C);
  scaled = warp_sum(scaled) / static_cast<float>(g.C);
#pragma unroll 2
  for (int c = begin; c < g.C; c += step) {
    float out[W];
    load(x + c, in);
    load(dy + c, grad);
    load(weight + c, w);
    if constexpr (ADD) load(dx + c, out);
#pragma unroll
    for (int j = 0; j < W; ++j) {
      const float own = rstd * (grad[j] * w[j] - plain - (in[j] - mean) * rstd * scaled);
      out[j] = ADD ? out[j] + own : own;
    }
    store(dx + c, out);
  }
}

// partial [strips, 2, C]: each strip's sums of dy * normed x and of dy.
template <class T, int W>
__global__ void __launch_bounds__(kThreads) sum_rows(const T* xs, const T* dys, float* partial, Given g) {
  __shared__ float sums[kRowGroups][2][kColumnGroup * W];
  const int lane = static_cast<int>(threadIdx.x) % kColumnGroup, group = static_cast<int>(threadIdx.x) / kColumnGroup;
  const int c = (static_cast<int>(blockIdx.x) * kColumnGroup + lane) * W;
  const int64_t first = static_cast<int64_t>(blockIdx.y) * kStrip, last = min(g.R, first + kStrip);
  float weight[W] = {}, bias[W] = {};
  if (c < g.C) {
#pragma unroll 4
    for (int64_t row = first + group; row < last; row += kRowGroups) {
      float in[W], grad[W];
      load(xs + row * g.C + c, in);
      load(dys + row * g.C + c, grad);
      const float mean = g.mean[row], rstd = g.rstd[row];
#pragma unroll
      for (int j = 0; j < W; ++j) {
        weight[j] += grad[j] * ((in[j] - mean) * rstd);
        bias[j] += grad[j];
      }
    }
  }
#pragma unroll
  for (int j = 0; j < W; ++j) {
    sums[group][0][lane * W + j] = weight[j];
    sums[group][1][lane * W + j] = bias[j];
  }
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < 2 * kColumnGroup * W; i += kThreads) {
    const int which = i / (kColumnGroup * W), column = i % (kColumnGroup * W);
    const int at = static_cast<int>(blockIdx.x) * kColumnGroup * W + column;
    float total = 0;
#pragma unroll
    for (int k = 0; k < kRowGroups; ++k) total += sums[k][which][column];
    if (at < g.C) partial[(static_cast<int64_t>(blockIdx.y) * 2 + which) * g.C + at] = total;
  }
}

template <class T, int W>
void run_backward(const Exec& ex, const LayerNormBackward& a, const Given& g, float* partial, int n_strips) {
  const T *x = a.x.as<T>(), *dy = a.dy.as<T>();
  if (a.dweight || a.dbias) {
    const dim3 grid(static_cast<unsigned>(ceil_div(g.C, kColumnGroup * W)), static_cast<unsigned>(n_strips));
    launch(ex, sum_rows<T, W>, {.grid = grid, .block = kThreads}, x, dy, partial, g);
    add_partials(ex, partial, n_strips, 2, g.C, {.to = {maybe<float>(a.dweight), maybe<float>(a.dbias)}});
  }
  const Launch rows{.grid = static_cast<unsigned>(ceil_div(g.R, kRowsPerBlock)), .block = kThreads};
  auto* const kernel = a.add_dx ? backward<T, W, true> : backward<T, W, false>;
  launch(ex, kernel, rows, x, a.weight.as<T>(), dy, a.dx.as<T>(), g);
}

}  // namespace

void run(const Exec& ex, const LayerNormForward& a) {
  if (ex.dry()) return;
  const int64_t C = a.weight.numel(), R = a.x.numel() / C;
  with_dtype(a.x.dtype, [&]<class T>() {
    constexpr int W = kWide<T>;
    const T *x = a.x.as<T>(), *weight = a.weight.as<T>(), *bias = a.bias.as<T>();
    T* y = a.y.as<T>();
    const bool wide = C % W == 0 && aligned(x, 16) && aligned(y, 16) && aligned(weight, 16) && aligned(bias, 16);
    const Launch rows{.grid = static_cast<unsigned>(ceil_div(R, kRowsPerBlock)), .block = kThreads};
    launch(ex, wide ? forward<T, W> : forward<T, 1>, rows, x, weight, bias, y, maybe<float>(a.mean), maybe<float>(a.rstd), R,
           static_cast<int>(C), static_cast<float>(a.eps));
  });
}

void run(const Exec& ex, const LayerNormBackward& a) {
  const int64_t C = a.weight.numel(), R = a.x.numel() / C, n_strips = ceil_div(R, kStrip);
  ArenaScope scope(*ex.scratch);
  const Tensor partial = ex.scratch->take(DType::f32, {n_strips, 2, C});
  if (ex.dry()) return;
  const Given g{a.mean.as<float>(), a.rstd.as<float>(), R, static_cast<int>(C)};
  with_dtype(a.x.dtype, [&]<class T>() {
    constexpr int W = kWide<T>;
    const bool wide = C % W == 0 && aligned(a.x.data, 16) && aligned(a.dy.data, 16) && aligned(a.dx.data, 16) && aligned(a.weight.data, 16);
    (wide ? run_backward<T, W> : run_backward<T, 1>)(ex, a, g, partial.as<float>(), static_cast<int>(n_strips));
  });
}

}  // namespace rk::cuda
