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

__device__ __forceinline__ void exchange(float& a, float& b) {
  const float kept = a;
  a = b, b = kept;
}

template <class T>
struct Mixes {
  const T *mu[kMixes], *more[kMixes];  // more null: none
  T* y[kMixes];
};

template <class T, int W>
struct Forward {
  const T *x, *state;
  int64_t length, packs;  // positions of a sample, packs of a row
  int n;
  bool mu_of_self;
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
    float from[W], change[W];
    to_floats(in.here, from);
    to_floats(in.before, change);
#pragma unroll
    for (int j = 0; j < W; ++j) {
      if (mu_of_self) exchange(from[j], change[j]);
      change[j] -= from[j];
    }
#pragma unroll
    for (int m = 0; m < kMixes; ++m) {
      if (m >= n) break;
      float mu[W], more[W] = {}, out[W];
      cuda::load(mixes.mu[m] + c, mu);
      if (mixes.more[m]) cuda::load(mixes.more[m] + i * W, more);
#pragma unroll
      for (int j = 0; j < W; ++j) out[j] = from[j] + change[j] * (mu[j] + more[j]);
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
  const T *mu[kMixes], *dy[kMixes], *more[kMixes];
  T* dmore[kMixes];  // may be dy
  int64_t R, length;
  int C, n;
  bool mu_of_self, add_dx;
  const uint8_t* resets;
  const float* edges;  // [strips, C]: what the row behind each strip hands back to it; null: to be computed

  __device__ bool begins(int64_t row) const { return resets && resets[row]; }

  // Weights of mix m in W columns of a row.
  template <int W>
  __device__ void weight(int m, int64_t row, int c, float (&w)[W]) const {
    load(mu[m] + c, w);
    if (more[m]) {
      float own[W];
      load(more[m] + row * C + c, own);
#pragma unroll
      for (int j = 0; j < W; ++j) w[j] += own[j];
    }
  }

  // Sum over m of dy_m times the share of the row before.
  template <int W>
  __device__ void hand_back(int64_t row, int c, float (&to)[W]) const {
#pragma unroll
    for (int j = 0; j < W; ++j) to[j] = 0;
    if (begins(row)) return;
#pragma unroll
    for (int m = 0; m < kMixes; ++m) {
      if (m >= n) break;
      float w[W], up[W];
      weight(m, row, c, w);
      load(dy[m] + row * C + c, up);
#pragma unroll
      for (int j = 0; j < W; ++j) to[j] += up[j] * (mu_of_self ? 1.0f - w[j] : w[j]);
    }
  }
};

// Before any strip writes dmore over the dy that its neighbour needs.
template <class T, int W>
__global__ void __launch_bounds__(kThreads) find_edges(Gradients<T> a, float* edges) {
  const int c = static_cast<int>(blockIdx.x * kThreads + threadIdx.x) * W;
  const int64_t behind = (static_cast<int64_t>(blockIdx.y) + 1) * kStrip;
  if (c >= a.C || behind >= a.R) return;
  float owed[W];
  a.hand_back(behind, c, owed);
  store(edges + static_cast<int64_t>(blockIdx.y) * a.C + c, owed);
}

// partial [strips, n, C].
template <class T, int W>
__global__ void __launch_bounds__(kThreads) backward(Gradients<T> a, float* partial) {
  const int c = static_cast<int>(blockIdx.x * kThreads + threadIdx.x) * W;
  if (c >= a.C) return;
  const int64_t first = static_cast<int64_t>(blockIdx.y) * kStrip, last = min(a.R, first + kStrip);
  int64_t b = (last - 1) / a.length, t = last - 1 - b * a.length;
  float dmu[kMixes][W] = {}, from_next[W] = {};
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
  } else if (a.edges) {
    load(a.edges + static_cast<int64_t>(blockIdx.y) * a.C + c, from_next);
  } else {
    a.hand_back(last, c, from_next);
  }
  float here[W];
  load(a.x + (last - 1) * a.C + c, here);
  for (int64_t row = last - 1; row >= first; --row, --t) {
    float previous[W] = {}, change[W], own[W] = {}, shifted[W] = {};
    if (t > 0) {
      load(a.x + (row - 1) * a.C + c, previous);
    } else if (a.state) {
      load(a.state + b * a.C + c, previous);
    }
    const bool cut = a.begins(row);
#pragma unroll
    for (int j = 0; j < W; ++j) {
      change[j] = (cut ? 0 : previous[j]) - here[j];
      if (a.mu_of_self) change[j] = -change[j];
    }
#pragma unroll
    for (int m = 0; m < kMixes; ++m) {
      if (m >= a.n) break;
      float w[W], dy[W], dw[W];
      a.weight(m, row, c, w);
      load(a.dy[m] + row * a.C + c, dy);
#pragma unroll
      for (int j = 0; j < W; ++j) {
        own[j] += dy[j] * (1.0f - w[j]);
        shifted[j] += dy[j] * w[j];
        dw[j] = dy[j] * change[j];
        dmu[m][j] += dw[j];
      }
      if (a.dmore[m]) store(a.dmore[m] + row * a.C + c, dw);
    }
    float out[W] = {};
    if (a.add_dx) load(a.dx + row * a.C + c, out);
#pragma unroll
    for (int j = 0; j < W; ++j) {
      if (a.mu_of_self) exchange(own[j], shifted[j]);
      out[j] += own[j] + from_next[j];
    }
    store(a.dx + row * a.C + c, out);
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
  Forward<T, W> op{a.x.as<T>(), maybe<T>(a.state_in), length, packs, a.n, a.mu_of_self, reset_flags(a.resets), {}};
  for (int m = 0; m < a.n; ++m) {
    const auto i = static_cast<size_t>(m);
    op.mixes.mu[m] = a.mu[i].as<T>();
    op.mixes.more[m] = maybe<T>(a.more[i]);
    op.mixes.y[m] = a.y[i].as<T>();
  }
  for_each_index(ex, a.x.numel() / W, op);
  if (a.state_out) for_each_index(ex, a.state_out.numel() / W, KeepLast<T, W>{a.x.as<T>(), a.state_out.as<T>(), length, packs});
}

template <class T, int W>
void run_backward(const Exec& ex, const TokenShiftBackward& a, float* partial, float* edges, int n_strips) {
  const int64_t C = a.x.shape[2];
  Gradients<T> g{.x = a.x.as<T>(),
                 .state = maybe<T>(a.state_in),
                 .dx = a.dx.as<T>(),
                 .dstate_out = maybe<float>(a.dstate_out),
                 .dstate_in = maybe<float>(a.dstate_in),
                 .mu = {},
                 .dy = {},
                 .more = {},
                 .dmore = {},
                 .R = a.x.shape[0] * a.x.shape[1],
                 .length = a.x.shape[1],
                 .C = static_cast<int>(C),
                 .n = a.n,
                 .mu_of_self = a.mu_of_self,
                 .add_dx = a.add_dx,
                 .resets = reset_flags(a.resets),
                 .edges = nullptr};
  PartialTotals totals;
  for (int m = 0; m < a.n; ++m) {
    const auto i = static_cast<size_t>(m);
    g.mu[m] = a.mu[i].as<T>();
    g.dy[m] = a.dy[i].as<T>();
    g.more[m] = maybe<T>(a.more[i]);
    g.dmore[m] = maybe<T>(a.dmore[i]);
    totals.to[m] = maybe<float>(a.dmu[i]);
  }
  const dim3 grid(static_cast<unsigned>(ceil_div(C, kThreads * W)), static_cast<unsigned>(n_strips));
  if (edges) {
    launch(ex, find_edges<T, W>, {.grid = grid, .block = kThreads}, g, edges);
    g.edges = edges;
  }
  launch(ex, backward<T, W>, {.grid = grid, .block = kThreads}, g, partial);
  add_partials(ex, partial, n_strips, a.n, C, totals);
}

// Whether rows of C elements of these tensors are cut into whole packs.
bool packed(int64_t C, int W, std::initializer_list<Tensor> single, std::initializer_list<const std::array<Tensor, kMixes>*> by_mix) {
  bool fits = C % W == 0;
  for (const Tensor& t : single) fits = fits && aligned(t.data, 16);
  for (const auto* tensors : by_mix) {
    for (const Tensor& t : *tensors) fits = fits && aligned(t.data, 16);
  }
  return fits;
}

}  // namespace

void run(const Exec& ex, const TokenShiftForward& a) {
  if (ex.dry()) return;
  with_dtype(a.x.dtype, [&]<class T>() {
    constexpr int W = kWide<T>;
    const bool wide = packed(a.x.shape[2], W, {a.x, a.state_in, a.state_out}, {&a.mu, &a.y, &a.more});
    (wide ? run_forward<T, W> : run_forward<T, 1>)(ex, a);
  });
}

void run(const Exec& ex, const TokenShiftBackward& a) {
  const int64_t n_strips = ceil_div(a.x.shape[0] * a.x.shape[1], kStrip), C = a.x.shape[2];
  ArenaScope scope(*ex.scratch);
  const Tensor partial = ex.scratch->take(DType::f32, {n_strips, a.n, C});
  Tensor edges;
  if (a.more[0].shape.rank > 0) edges = ex.scratch->take(DType::f32, {n_strips, C});  // given; in a dry run, too
  if (ex.dry()) return;
  with_dtype(a.x.dtype, [&]<class T>() {
    constexpr int W = kWide<T> / 2;
    const bool wide = packed(C, W, {a.x, a.state_in, a.dx, a.dstate_in, a.dstate_out}, {&a.mu, &a.dy, &a.more, &a.dmore});
    (wide ? run_backward<T, W> : run_backward<T, 1>)(ex, a, partial.as<float>(), maybe<float>(edges), static_cast<int>(n_strips));
  });
}

}  // namespace rk::cuda
