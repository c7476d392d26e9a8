// Forward: a block walks a strip of rows forwards in time, four at a time, with the row before in registers.
// Moves (1 + N) [R,C]: x in, N mixes out.
#pragma once
#include "kernels/norm_mix/op.h"
#include "kernels/norm_mix/rows_cuda.cuh"

namespace rk::cuda {

inline constexpr int kForwardGroup = 4;
inline constexpr int64_t kForwardStrip = 32;

template <class T, int N>
struct ForwardRows {
  const T *x, *weight, *bias, *state_in;
  T* state_out;
  const T* mu[N];
  T* y[N];
  int64_t R, length;
  int C;
  float eps;
};

template <class T, int N>
__global__ void __launch_bounds__(kMaxRowThreads) norm_mix_forward(ForwardRows<T, N> a) {
  constexpr int W = kWide<T>, G = kForwardGroup;
  using P = Pack<T, W>;
  __shared__ __align__(16) float part[2][kMaxRowThreads / 32 * 2 * G];
  const int c = static_cast<int>(threadIdx.x) * W;
  const bool active = c < a.C;
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * kForwardStrip, end = min(a.R, begin + kForwardStrip);
  int64_t b = begin / a.length, t = begin - b * a.length, first = begin;
  if (t != 0) --first, --t;
  P next[G] = {}, last{};  // last: the normed row before the group
  float next_shift[G] = {};
  const auto fetch = [&](int64_t row) {
#pragma unroll
    for (int i = 0; i < G; ++i) {
      if (row + i < end) {
        if (active) next[i] = load_pack<T, W>(a.x + (row + i) * a.C + c);
        next_shift[i] = to_float(a.x[(row + i) * a.C]);
      }
    }
  };
  fetch(first);
  const float per_column = 1.0f / static_cast<float>(a.C);
  int buffer = 0;
  for (int64_t group = first; group < end; group += G, buffer ^= 1) {
    P in[G];
    float shift[G], sums[2 * G] = {};
#pragma unroll
    for (int i = 0; i < G; ++i) in[i] = next[i], shift[i] = next_shift[i];
    fetch(group + G);
    if (active) {
#pragma unroll
      for (int i = 0; i < G; ++i) add_shifted(in[i], shift[i], sums[2 * i], sums[2 * i + 1]);
    }
    row_sums(sums, part[buffer]);
    if (!active) continue;
    P before[G];
    {
      // Parameters come from the first cache for every group: registers are for rows.
      const P weight = load_pack<T, W>(a.weight + c), bias = load_pack<T, W>(a.bias + c);
#pragma unroll
      for (int i = 0; i < G; ++i) {
        const P z = normed(in[i], row_stats(sums[2 * i], sums[2 * i + 1], shift[i], per_column, a.eps), weight, bias);
        before[i] = last;
        if (t == 0 && group + i < end) before[i] = a.state_in ? load_pack<T, W>(a.state_in + b * a.C + c) : P{};
        in[i] = last = z;
        if (++t == a.length) {
          if (a.state_out && group + i < end) *reinterpret_cast<P*>(a.state_out + b * a.C + c) = z;
          t = 0, ++b;
        }
      }
    }
#pragma unroll
    for (int m = 0; m < N; ++m) {
      float mu[W];
      load(a.mu[m] + c, mu);
#pragma unroll
      for (int i = 0; i < G; ++i) {
        float out[W];
#pragma unroll
        for (int j = 0; j < W; ++j) {
          const float here = to_float(in[i].x[j]);
          out[j] = here + (to_float(before[i].x[j]) - here) * mu[j];
        }
        if (group + i >= begin && group + i < end) store(a.y[m] + (group + i) * a.C + c, out);
      }
    }
  }
}

// state_out: where last rows go, not state_in's memory.
template <class T, int N>
void run_forward(const Exec& ex, const NormMixForward& a, const Tensor& state_out, int threads) {
  ForwardRows<T, N> rows{.x = a.x.as<T>(),
                         .weight = a.weight.as<T>(),
                         .bias = a.bias.as<T>(),
                         .state_in = maybe<T>(a.state_in),
                         .state_out = maybe<T>(state_out),
                         .mu = {},
                         .y = {},
                         .R = a.x.shape[0] * a.x.shape[1],
                         .length = a.x.shape[1],
                         .C = static_cast<int>(a.x.shape[2]),
                         .eps = static_cast<float>(a.eps)};
  for (size_t m = 0; m < N; ++m) {
    rows.mu[m] = a.mu[m].as<T>();
    rows.y[m] = a.y[m].as<T>();
  }
  const auto strips = static_cast<unsigned>(ceil_div(rows.R, kForwardStrip));
  launch(ex, norm_mix_forward<T, N>, {.grid = strips, .block = static_cast<unsigned>(threads)}, rows);
}

}  // namespace rk::cuda
