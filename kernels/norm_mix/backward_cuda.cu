// Backward: a block walks a strip of rows backwards in time. In registers it keeps what the next row hands back (the sum of dy_m * mu_m),
// the normed row and the sums of the parameters' gradients; rows to come wait in shared memory, where each thread keeps its own columns, so
// that the copies need no barrier. A row's two sums for the layer norm and the statistics of the row two before share one reduction.
// Moves (N + 3) [R,C]: x, N gradients and dx in, dx out; weights of tokens and their gradients add 2 N; and strips * (N + 2) * C floats of
// partial sums, written and read.
#include "kernels/common/mma.cuh"
#include "kernels/common/partials.cuh"
#include "kernels/norm_mix/rows_cuda.cuh"

namespace rk::cuda {
namespace {

__device__ __forceinline__ void load_floats(const float* p, float (&x)[4]) { load(p, x); }
__device__ __forceinline__ void load_floats(const float* p, float (&x)[8]) {
  const float4 low = *reinterpret_cast<const float4*>(p), high = *reinterpret_cast<const float4*>(p + 4);
  x[0] = low.x, x[1] = low.y, x[2] = low.z, x[3] = low.w;
  x[4] = high.x, x[5] = high.y, x[6] = high.z, x[7] = high.w;
}
template <int W>
__device__ __forceinline__ void store_floats(float* p, const float (&x)[W]) {
#pragma unroll
  for (int q = 0; q < W; q += 4) {
    const float four[4] = {x[q], x[q + 1], x[q + 2], x[q + 3]};
    store(p + q, four);
  }
}

template <class T, int N, Weights WEIGHTS>
struct BackwardRows {
  const T *x, *weight, *bias, *state_in;
  T* dx;
  const float* dstate_out;
  float *dstate_in, *partial;  // partial [strips, N + 2, C]: dmu_m, dweight, dbias
  const float* edges;          // [strips, C], what the row behind each strip hands back to it; null: to be computed
  const T *mu[N], *dy[N];
  const uint8_t* resets;
  int64_t R;
  int length, C;
  float eps;
  TokenWeights<const T*, N, WEIGHTS> more;
  TokenWeights<T*, N, WEIGHTS> dmore;  // may be dy

  // The first row of a strip.
  __device__ int begin(unsigned strip, unsigned n_strips) const { return static_cast<int>(R * strip / n_strips); }

  // Adds to W columns of a row's predecessor what the row hands back: the sum over m of dy_m times the predecessor's share of y_m.
  template <int W>
  __device__ void hand_back(int64_t row, int c, float (&to)[W]) const {
#pragma unroll
    for (int m = 0; m < N; ++m) {
      float up[W], w[W];
      load(dy[m] + row * C + c, up);
      load(mu[m] + c, w);
      if constexpr (WEIGHTS == Weights::of_token) {
        float own[W];
        load(more.at[m] + row * C + c, own);
#pragma unroll
        for (int j = 0; j < W; ++j) w[j] += own[j];
      }
#pragma unroll
      for (int j = 0; j < W; ++j) to[j] += up[j] * (WEIGHTS == Weights::of_self ? 1.0f - w[j] : w[j]);
    }
  }
};

// A block for each strip, before any writes dmore over the dy that its neighbour needs.
template <class T, int N, Weights WEIGHTS>
__global__ void __launch_bounds__(kMaxRowThreads) norm_mix_edges(BackwardRows<T, N, WEIGHTS> a, float* edges) {
  constexpr int W = kWide<T>;
  const int c = static_cast<int>(threadIdx.x) * W, behind = a.begin(blockIdx.x + 1, gridDim.x);
  if (c >= a.C) return;
  float owed[W] = {};
  if (behind < a.R) a.hand_back(behind, c, owed);
  store_floats(edges + static_cast<int64_t>(blockIdx.x) * a.C + c, owed);
}

// Shared memory of one thread, in packs: STAGES rows of dy_m, more_m and dx, STAGES + 2 rows of x (which is needed two rows earlier), the
// parameters.
template <class T, int N, Weights WEIGHTS, int STAGES>
class RowRing {
 public:
  static constexpr int kOfRow = (WEIGHTS == Weights::of_token ? 2 : 1) * N + 1, kRowsOfX = STAGES + 2, kX = STAGES * kOfRow,
                       kMu = kX + kRowsOfX, kPacks = kMu + N + 2;
  using P = Pack<T, kWide<T>>;
  using Packs = OwnPacks<P, kPacks>;

  __device__ P* dx(int stage) const { return packs_.at(stage * kOfRow); }
  __device__ P* dy(int stage, int m) const { return packs_.at(stage * kOfRow + 1 + m); }
  __device__ P* more(int stage, int m) const { return packs_.at(stage * kOfRow + 1 + N + m); }
  __device__ P* x(int slot) const { return packs_.at(kX + slot); }
  __device__ P* mu(int m) const { return packs_.at(kMu + m); }
  __device__ P* weight() const { return packs_.at(kMu + N); }
  __device__ P* bias() const { return packs_.at(kMu + N + 1); }

 private:
  Packs packs_;
};

// Four neighbours of a pack in shared memory.
template <class P>
__device__ __forceinline__ void load_quad(const P* p, int quad, float (&x)[4]) {
  load(p->x + 4 * quad, x);
}

template <class T, int N, Weights WEIGHTS, int STAGES, int THREADS, int BLOCKS, bool RESETS>
__global__ void __launch_bounds__(THREADS, BLOCKS) norm_mix_backward(BackwardRows<T, N, WEIGHTS> a) {
  constexpr bool of_self = WEIGHTS == Weights::of_self, of_token = WEIGHTS == Weights::of_token;
  constexpr int W = kWide<T>;
  using P = Pack<T, W>;
  using Ring = RowRing<T, N, WEIGHTS, STAGES>;
  __shared__ __align__(16) float part[2][THREADS / 32 * 4];
  const int c = static_cast<int>(threadIdx.x) * W;
  const bool active = c < a.C;
  const int begin = a.begin(blockIdx.x, gridDim.x), end = a.begin(blockIdx.x + 1, gridDim.x);
  const auto at = [&](int row) { return static_cast<int64_t>(row) * a.C + c; };  // where this thread's columns of a row begin
  const Ring ring;

  // Rows before the strip's begin (x: before the array's) come as zeros; what is made of them is not used.
  const auto fetch_dy = [&](int row, int stage) {
    const bool wanted = active && row >= begin;
    const int64_t from = wanted ? at(row) : 0;
#pragma unroll
    for (int m = 0; m < N; ++m) {
      copy_async_16(ring.dy(stage, m), a.dy[m] + from, wanted);
      if constexpr (of_token) copy_async_16(ring.more(stage, m), a.more.at[m] + from, wanted);
    }
  };
  const auto fetch_rest = [&](int row, int stage, int slot_of_x) {
    const bool wanted = active && row >= begin, has_x = wanted && row >= 2;
    copy_async_16(ring.dx(stage), a.dx + (wanted ? at(row) : 0), wanted);
    copy_async_16(ring.x(slot_of_x), a.x + (has_x ? at(row - 2) : 0), has_x);
    copy_async_commit();
  };
#pragma unroll
  for (int s = 0; s < STAGES; ++s) {
    fetch_dy(end - 1 - s, s);
    fetch_rest(end - 1 - s, s, s + 2);
  }

  *ring.weight() = active ? load_pack<W>(a.weight + c) : P{};
  *ring.bias() = active ? load_pack<W>(a.bias + c) : P{};
#pragma unroll
  for (int m = 0; m < N; ++m) *ring.mu(m) = active ? load_pack<W>(a.mu[m] + c) : P{};

  const auto begins_at = [&](int row) { return RESETS && a.resets && a.resets[row]; };
  const auto first_of = [&](int row) { return a.x[static_cast<int64_t>(max(row, 0)) * a.C]; };
  int b = (end - 1) / a.length, t = end - 1 - b * a.length;
  float from_next[W] = {};
  if (t != a.length - 1) {
    if (active && !begins_at(end)) {
      if constexpr (of_token) {
        load_floats(a.edges + static_cast<int64_t>(blockIdx.x) * a.C + c, from_next);
      } else {
        a.hand_back(end, c, from_next);
      }
    }
  } else if (a.dstate_out && active) {
    load_floats(a.dstate_out + at(b), from_next);
  }

  // Rows: 0 the current one, 1 the one before it, 2 the one before that.
  const float per_column = 1.0f / static_cast<float>(a.C);
  RowStats stats0, stats1;
  {
    const float shift0 = to_float(first_of(end - 1)), shift1 = to_float(first_of(end - 2));
    P x0{}, x1{};
    float sums[4] = {};
    if (active) {
      x0 = load_pack<W>(a.x + at(end - 1));
      if (end >= 2) x1 = load_pack<W>(a.x + at(end - 2));
      float x[W];
      to_floats(x0, x);
      add_shifted(x, shift0, sums[0], sums[1]);
      to_floats(x1, x);
      add_shifted(x, shift1, sums[2], sums[3]);
    }
    *ring.x(0) = x0;
    *ring.x(1) = x1;
    row_sums(sums, part[1]);
    stats0 = row_stats(sums[0], sums[1], shift0, per_column, a.eps);
    stats1 = row_stats(sums[2], sums[3], shift1, per_column, a.eps);
  }
  float dmu[N][W] = {}, dweight[W] = {}, dbias[W] = {};
  T next_shift = first_of(end - 3);  // of row 2, read a row ahead and converted when it is used

  int stage = 0, slot0 = 0, slot1 = 1, slot2 = 2, buffer = 0;
  for (int row = end - 1; row >= begin; --row, buffer ^= 1) {
    const bool begins = begins_at(row);
    const float shift2 = to_float(next_shift);
    next_shift = first_of(row - 3);
    copy_async_wait<STAGES - 1>();
    const float offset0 = -stats0.mean * stats0.rstd;
    float g[W], sums[4] = {};
#pragma unroll
    for (int q = 0; q < W / 4; ++q) {
      float x0[4], x1[4], weight[4], bias[4], change[4], own[4] = {}, shifted[4] = {};
      load_quad(ring.x(slot0), q, x0);
      load_quad(ring.x(slot1), q, x1);
      load_quad(ring.weight(), q, weight);
      load_quad(ring.bias(), q, bias);
      norm<T>(x1, stats1, weight, bias);
      if (t == 0 || begins) {
        x1[0] = x1[1] = x1[2] = x1[3] = 0;
        if (a.state_in && active && !begins) load(a.state_in + at(b) + 4 * q, x1);
      }
#pragma unroll
      for (int j = 0; j < 4; ++j) change[j] = x0[j];
      norm<T>(change, stats0, weight, bias);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        change[j] = of_self ? change[j] - x1[j] : x1[j] - change[j];
        x0[j] = x0[j] * stats0.rstd + offset0;  // the unit row
      }
#pragma unroll
      for (int m = 0; m < N; ++m) {
        float dy[4], mu[4];
        load_quad(ring.dy(stage, m), q, dy);
        load_quad(ring.mu(m), q, mu);
        if constexpr (of_token) {
          float own_weight[4];
          load_quad(ring.more(stage, m), q, own_weight);
#pragma unroll
          for (int j = 0; j < 4; ++j) mu[j] += own_weight[j];
        }
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          own[j] += dy[j];
          shifted[j] += dy[j] * mu[j];
          dy[j] *= change[j];
          dmu[m][4 * q + j] += dy[j];
        }
        if constexpr (of_token) store(ring.dy(stage, m)->x + 4 * q, dy);  // until the pack is whole
      }
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const int i = 4 * q + j;
        const float dz = (of_self ? shifted[j] : own[j] - shifted[j]) + from_next[i];
        from_next[i] = begins ? 0.0f : (of_self ? own[j] - shifted[j] : shifted[j]);
        dweight[i] += dz * x0[j];
        dbias[i] += dz;
        g[i] = dz * weight[j];
        sums[0] += g[i];
        sums[1] += g[i] * x0[j];
      }
      __syncwarp();  // keeps the quads apart, which halves what they take of registers
    }
    if (active) {
      float x2[W];
      load(ring.x(slot2)->x, x2);
      add_shifted(x2, shift2, sums[2], sums[3]);
    }
    if constexpr (of_token) {
      if (active) {
#pragma unroll
        for (int m = 0; m < N; ++m) store_pack(a.dmore.at[m] + at(row), *ring.dy(stage, m));
      }
    }
    fetch_dy(row - STAGES, stage);
    row_sums(sums, part[buffer]);

    const float plain = sums[0] * per_column, scaled = sums[1] * per_column;
    float x0[W], out[W];
    load(ring.x(slot0)->x, x0);
    load(ring.dx(stage)->x, out);
#pragma unroll
    for (int j = 0; j < W; ++j) out[j] += stats0.rstd * (g[j] - plain - (x0[j] * stats0.rstd + offset0) * scaled);
    if (active) store(a.dx + at(row), out);
    fetch_rest(row - STAGES, stage, slot0);
    if (t == 0) {
      if (a.dstate_in && active) store_floats(a.dstate_in + at(b), from_next);
#pragma unroll
      for (int j = 0; j < W; ++j) from_next[j] = 0;
      t = a.length;
      if (--b >= 0 && a.dstate_out && active) load_floats(a.dstate_out + at(b), from_next);
    }
    --t;
    stats0 = stats1, stats1 = row_stats(sums[2], sums[3], shift2, per_column, a.eps);
    stage = stage + 1 == STAGES ? 0 : stage + 1;
    slot0 = slot1, slot1 = slot2, slot2 = slot2 + 1 == Ring::kRowsOfX ? 0 : slot2 + 1;
  }

  if (!active) return;
  float* const partial = a.partial + static_cast<int64_t>(blockIdx.x) * (N + 2) * a.C + c;
#pragma unroll
  for (int m = 0; m < N; ++m) store_floats(partial + m * a.C, dmu[m]);
  store_floats(partial + N * a.C, dweight);
  store_floats(partial + (N + 1) * a.C, dbias);
}

template <class T, int N, Weights WEIGHTS>
void run_backward(const Exec& ex, const NormMixBackward& a, const Tensor& partial, const Tensor& edges, int threads) {
  BackwardRows<T, N, WEIGHTS> rows{.x = a.x.as<T>(),
                                   .weight = a.weight.as<T>(),
                                   .bias = a.bias.as<T>(),
                                   .state_in = maybe<T>(a.state_in),
                                   .dx = a.dx.as<T>(),
                                   .dstate_out = maybe<float>(a.dstate_out),
                                   .dstate_in = maybe<float>(a.dstate_in),
                                   .partial = partial.as<float>(),
                                   .edges = maybe<float>(edges),
                                   .mu = {},
                                   .dy = {},
                                   .resets = reset_flags(a.resets),
                                   .R = a.x.shape[0] * a.x.shape[1],
                                   .length = static_cast<int>(a.x.shape[1]),
                                   .C = static_cast<int>(a.x.shape[2]),
                                   .eps = static_cast<float>(a.eps),
                                   .more = {},
                                   .dmore = {}};
  PartialTotals totals;
  for (size_t m = 0; m < N; ++m) {
    rows.mu[m] = a.mu[m].as<T>();
    rows.dy[m] = a.dy[m].as<T>();
    totals.to[m] = maybe<float>(a.dmu[m]);
    if constexpr (WEIGHTS == Weights::of_token) {
      rows.more.at[m] = a.more[m].as<T>();
      rows.dmore.at[m] = a.dmore[m].as<T>();
    }
  }
  totals.to[N] = maybe<float>(a.dweight);
  totals.to[N + 1] = maybe<float>(a.dbias);
  constexpr int stages = WEIGHTS == Weights::of_token ? 1 : (N == 1 ? 4 : (N == 2 ? 3 : 2));
  const Launch strips{.grid = static_cast<unsigned>(partial.shape[0]),
                      .block = static_cast<unsigned>(threads),
                      .shared = RowRing<T, N, WEIGHTS, stages>::Packs::bytes(threads)};
  if constexpr (WEIGHTS == Weights::of_token) {
    launch(ex, norm_mix_edges<T, N, WEIGHTS>, {.grid = strips.grid, .block = strips.block}, rows, edges.as<float>());
  }
  if constexpr (kByWidth<T, N>) {
    constexpr int few = N == 1 ? 3 : 2, middle = N == 1 ? 320 : kMaxRowThreads;
    const auto launch_for = [&]<bool RESETS>() {
      if (threads <= 256) {
        launch(ex, norm_mix_backward<T, N, WEIGHTS, stages, 256, few, RESETS>, strips, rows);
      } else if (threads <= middle) {
        launch(ex, norm_mix_backward < T, N, WEIGHTS, stages, middle, N == 1 ? 2 : 1, RESETS >, strips, rows);
      } else {
        launch(ex, norm_mix_backward<T, N, WEIGHTS, stages, kMaxRowThreads, 1, RESETS>, strips, rows);
      }
    };
    rows.resets ? launch_for.template operator()<true>() : launch_for.template operator()<false>();
  } else {
    launch(ex, norm_mix_backward < T, N, WEIGHTS, stages, N <= 3 ? kTwoOf320 : kMaxRowThreads, 1, true >, strips, rows);
  }
  add_partials(ex, partial.as<float>(), static_cast<int>(partial.shape[0]), N + 2, rows.C, totals);
}

}  // namespace

int64_t n_backward_strips(int64_t R, int threads, int n) {
  const int64_t resident = 132 * std::max(1, (n == 1 ? kThreeOf256 : (n <= 3 ? kTwoOf320 : kMaxRowThreads)) / threads);
  return std::min(resident, ceil_div(R, 16));
}

void run_fused(const Exec& ex, const NormMixBackward& a, Weights weights, const Tensor& partial, const Tensor& edges, int threads) {
  with_mixes(a.n, weights, [&]<int N, Weights WEIGHTS>() {
    with_dtype(a.x.dtype, [&]<class T>() { run_backward<T, N, WEIGHTS>(ex, a, partial, edges, threads); });
  });
}

}  // namespace rk::cuda
