// Token shift. Forward reads x once (the row before comes from a cache) and writes n mixes. Backward: a thread owns W columns and walks a
// strip of rows backwards in time with the next row's sum of dy_m * mu_m in registers, so x and each dy are read once, dx is written once.
#include "kernels/common/flat.cuh"
#include "kernels/common/partials.cuh"
#include "kernels/common/resets.h"
#include "kernels/token_shift/op.h"

namespace rk::cuda {
namespace {

constexpr int kThreads = 128, kMixes = 6;
constexpr int64_t kStrip = 64;

template <class T>
struct Mixes {
  const T* mu[kMixes];
  T* y[kMixes];
};

template <class T, int W>
struct Forward {
  const T *x, *state;
  int64_t length, packs;  // positions of a sample, packs of a row
  int n;
  const uint8_t* resets;
  Mixes<T> mixes;
  struct Loaded {
    Pack<T, W> here, before;
  };
  __device__ Loaded load(int64_t i) const {
    Loaded in{};
    const int64_t row = i / packs, c = (i - row * packs) * W, C = packs * W, b = row / length;
    in.here = *reinterpret_cast<const Pack<T, W>*>(x + i * W);
    if (resets && resets[row]) return in;
    if (row != b * length) {
      in.before = *reinterpret_cast<const Pack<T, W>*>(x + i * W - C);
    } else if (state) {
      in.before = *reinterpret_cast<const Pack<T, W>*>(state + b * C + c);
    }
    return in;
  }
  __device__ void store(int64_t i, const Loaded& in) const {
    const int64_t c = i % packs * W;
#pragma unroll
    for (int m = 0; m < kMixes; ++m) {
      if (m >= n) break;
      float mu[W], out[W];
      cuda::load(mixes.mu[m] + c, mu);
#pragma unroll
      for (int j = 0; j < W; ++j) {
        const float here = to_float(in.here.x[j]);
        out[j] = here + (to_float(in.before.x[j]) - here) * mu[j];
      }
      cuda::store(mixes.y[m] + i * W, out);
    }
  }
};

// state_out[b] = x[b, T-1]; its own kernel because state_out may be state_in.
template <class T, int W>
struct KeepLast {
  const T* x;
  T* state;
  int64_t length, packs;
  using Loaded = Pack<T, W>;
  __device__ Loaded load(int64_t i) const {
    const int64_t b = i / packs;
    return *reinterpret_cast<const Loaded*>(x + (((b + 1) * length - 1) * packs + i - b * packs) * W);
  }
  __device__ void store(int64_t i, const Loaded& in) const { *reinterpret_cast<Loaded*>(state + i * W) = in; }
};

template <class T>
struct Gradients {
  const T *x, *state;
  T* dx;
  const float* dstate_out;
  float* dstate_in;
  const T *mu[kMixes], *dy[kMixes];
  int64_t R, length;
  int C, n;
  const uint8_t* resets;
};

// partial [strips, n, C].
template <class T, int W>
__global__ void __launch_bounds__(kThreads) backward(Gradients<T> a, float* partial) {
  const int c = static_cast<int>(blockIdx.x * kThreads + threadIdx.x) * W;
  if (c >= a.C) return;
  const int64_t first = static_cast<int64_t>(blockIdx.y) * kStrip, last = min(a.R, first + kStrip);
  int64_t b = (last - 1) / a.length, t = last - 1 - b * a.length;
  float dmu[kMixes][W] = {}, from_next[W] = {};
  const auto begins = [&](int64_t row) { return a.resets && a.resets[row]; };
  const auto take_state = [&] {
#pragma unroll
    for (int j = 0; j < W; ++j) from_next[j] = 0;
    if (a.dstate_out) {
#pragma unroll
      for (int j = 0; j < W; ++j) from_next[j] = a.dstate_out[b * a.C + c + j];
    }
  };
  if (t == a.length - 1) {
    take_state();
  } else if (!begins(last)) {
#pragma unroll
    for (int m = 0; m < kMixes; ++m) {
      if (m >= a.n) break;
      float mu[W], dy[W];
      load(a.mu[m] + c, mu);
      load(a.dy[m] + last * a.C + c, dy);
#pragma unroll
      for (int j = 0; j < W; ++j) from_next[j] += dy[j] * mu[j];
    }
  }
  float here[W];
  load(a.x + (last - 1) * a.C + c, here);
  for (int64_t row = last - 1; row >= first; --row, --t) {
    float previous[W] = {}, before[W] = {}, own[W] = {}, shifted[W] = {};
    if (t > 0) {
      load(a.x + (row - 1) * a.C + c, previous);
    } else if (a.state) {
      load(a.state + b * a.C + c, previous);
    }
    const bool cut = begins(row);
#pragma unroll
    for (int j = 0; j < W; ++j) before[j] = cut ? 0 : previous[j];
#pragma unroll
    for (int m = 0; m < kMixes; ++m) {
      if (m >= a.n) break;
      float mu[W], dy[W];
      load(a.mu[m] + c, mu);
      load(a.dy[m] + row * a.C + c, dy);
#pragma unroll
      for (int j = 0; j < W; ++j) {
        own[j] += dy[j] * (1.0f - mu[j]);
        shifted[j] += dy[j] * mu[j];
        dmu[m][j] += dy[j] * (before[j] - here[j]);
      }
    }
#pragma unroll
    for (int j = 0; j < W; ++j) own[j] += from_next[j];
    store(a.dx + row * a.C + c, own);
#pragma unroll
    for (int j = 0; j < W; ++j) shifted[j] = cut ? 0 : shifted[j];
    if (t > 0) {
#pragma unroll
      for (int j = 0; j < W; ++j) from_next[j] = shifted[j], here[j] = previous[j];
    } else {
      if (a.dstate_in) {
#pragma unroll
        for (int j = 0; j < W; ++j) a.dstate_in[b * a.C + c + j] = shifted[j];
      }
      if (row > first) {
        t = a.length, --b;
        take_state();
        load(a.x + (row - 1) * a.C + c, here);
      }
    }
  }
#pragma unroll
  for (int m = 0; m < kMixes; ++m) {
    if (m >= a.n) break;
    store(partial + (static_cast<int64_t>(blockIdx.y) * a.n + m) * a.C + c, dmu[m]);
  }
}

template <class T, int W>
void run_forward(const Exec& ex, const TokenShiftForward& a) {
  const int64_t length = a.x.shape[1], packs = a.x.shape[2] / W;
  Forward<T, W> op{a.x.as<T>(), maybe<T>(a.state_in), length, packs, a.n, reset_flags(a.resets), {}};
  for (int m = 0; m < a.n; ++m) {
    const auto i = static_cast<size_t>(m);
    op.mixes.mu[m] = a.mu[i].as<T>();
    op.mixes.y[m] = a.y[i].as<T>();
  }
  for_each_index(ex, a.x.numel() / W, op);
  if (a.state_out) for_each_index(ex, a.state_out.numel() / W, KeepLast<T, W>{a.x.as<T>(), a.state_out.as<T>(), length, packs});
}

template <class T, int W>
void run_backward(const Exec& ex, const TokenShiftBackward& a, float* partial, int n_strips) {
  const int64_t C = a.x.shape[2];
  Gradients<T> g{.x = a.x.as<T>(),
                 .state = maybe<T>(a.state_in),
                 .dx = a.dx.as<T>(),
                 .dstate_out = maybe<float>(a.dstate_out),
                 .dstate_in = maybe<float>(a.dstate_in),
                 .mu = {},
                 .dy = {},
                 .R = a.x.shape[0] * a.x.shape[1],
                 .length = a.x.shape[1],
                 .C = static_cast<int>(C),
                 .n = a.n,
                 .resets = reset_flags(a.resets)};
  PartialTotals totals;
  for (int m = 0; m < a.n; ++m) {
    const auto i = static_cast<size_t>(m);
    g.mu[m] = a.mu[i].as<T>();
    g.dy[m] = a.dy[i].as<T>();
    totals.to[m] = maybe<float>(a.dmu[i]);
  }
  const dim3 grid(static_cast<unsigned>(ceil_div(C, kThreads * W)), static_cast<unsigned>(n_strips));
  launch(ex, backward<T, W>, {.grid = grid, .block = kThreads}, g, partial);
  add_partials(ex, partial, n_strips, a.n, C, totals);
}

// Whether rows of C elements of these tensors are cut into whole packs.
template <size_t N>
bool packed(int64_t C, int W, std::initializer_list<Tensor> single, const std::array<Tensor, N>& mu, const std::array<Tensor, N>& y,
            int n) {
  bool fits = C % W == 0;
  for (const Tensor& t : single) fits = fits && aligned(t.data, 16);
  for (size_t m = 0; m < static_cast<size_t>(n); ++m) fits = fits && aligned(mu[m].data, 16) && aligned(y[m].data, 16);
  return fits;
}

}  // namespace

void run(const Exec& ex, const TokenShiftForward& a) {
  if (ex.dry()) return;
  with_dtype(a.x.dtype, [&]<class T>() {
    constexpr int W = kWide<T>;
    const bool wide = packed(a.x.shape[2], W, {a.x, a.state_in, a.state_out}, a.mu, a.y, a.n);
    (wide ? run_forward<T, W> : run_forward<T, 1>)(ex, a);
  });
}

void run(const Exec& ex, const TokenShiftBackward& a) {
  const int64_t n_strips = ceil_div(a.x.shape[0] * a.x.shape[1], kStrip);
  ArenaScope scope(*ex.scratch);
  const Tensor partial = ex.scratch->take(DType::f32, {n_strips, a.n, a.x.shape[2]});
  if (ex.dry()) return;
  with_dtype(a.x.dtype, [&]<class T>() {
    constexpr int W = kWide<T> / 2;
    const bool wide = packed(a.x.shape[2], W, {a.x, a.state_in, a.dx, a.dstate_in, a.dstate_out}, a.mu, a.dy, a.n);
    (wide ? run_backward<T, W> : run_backward<T, 1>)(ex, a, partial.as<float>(), static_cast<int>(n_strips));
  });
}

}  // namespace rk::cuda
