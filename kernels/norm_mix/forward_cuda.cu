// Forward: a block walks a strip of rows forwards in time, four at a time, with the row before in registers. Rows to come
// wait in shared memory.
// Moves (1 + N) [R,C]: x in, N mixes out; weights of tokens add N.
#include "kernels/common/mma.cuh"
#include "kernels/norm_mix/rows_cuda.cuh"

namespace rk::cuda {
namespace {

constexpr int kForwardGroup = 4;
constexpr int64_t kForwardStrip = 32;

template <class T, int N, Weights WEIGHTS>
struct ForwardRows {
  const T *x, *weight, *bias, *state_in;
  T* state_out;
  const T* mu[N];
  T* y[N];
  const uint8_t* resets;
  int64_t R, length;
  int C;
  float eps;
  TokenWeights<const T*, N, WEIGHTS> more;  // y may be more
};

template <class T, int N>
struct ForwardShared {
  static constexpr int kRows = 2 * kForwardGroup, kMu = kRows, kWeight = kMu + N, kBias = kWeight + 1;
  using Packs = OwnPacks<Pack<T, kWide<T>>, kBias + 1>;
};

template <class T, int N, Weights WEIGHTS, int THREADS, int BLOCKS, bool RESETS>
__global__ void __launch_bounds__(THREADS, BLOCKS) norm_mix_forward(ForwardRows<T, N, WEIGHTS> a) {
  constexpr int W = kWide<T>, G = kForwardGroup;
  using P = Pack<T, W>;
  using Shared = ForwardShared<T, N>;
  __shared__ __align__(16) float part[2][THREADS / 32 * 2 * G];
  const typename Shared::Packs packs;
  const int c = static_cast<int>(threadIdx.x) * W;
  const bool active = c < a.C;
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * kForwardStrip, end = min(a.R, begin + kForwardStrip);
  int64_t b = begin / a.length, t = begin - b * a.length, first = begin;
  if (t != 0) --first, --t;
  // Bit i: a document begins at the strip's row i.
  [[maybe_unused]] uint32_t cut = 0;
  if constexpr (RESETS) {
    const int64_t row = begin + threadIdx.x % 32;
    cut = __ballot_sync(kWholeWarp, row < end && a.resets && a.resets[row]);
  }

  // Rows behind the strip come as zeros and are not used.
  const auto fetch = [&](int64_t row, int slot) {
#pragma unroll
    for (int i = 0; i < G; ++i) {
      const bool wanted = active && row + i < end;
      copy_async_16(packs.at(slot + i), a.x + (wanted ? (row + i) * a.C + c : 0), wanted);
    }
    copy_async_commit();
  };
  fetch(first, 0);
  fetch(first + G, G);
  T next_shift[G];  // the first elements of the rows of a group, read a group ahead and converted when they are used
  const auto fetch_shift = [&](int64_t row) {
#pragma unroll
    for (int i = 0; i < G; ++i) next_shift[i] = a.x[min(row + i, end - 1) * a.C];
  };
  fetch_shift(first);
  *packs.at(Shared::kWeight) = active ? load_pack<W>(a.weight + c) : P{};
  *packs.at(Shared::kBias) = active ? load_pack<W>(a.bias + c) : P{};
#pragma unroll
  for (int m = 0; m < N; ++m) *packs.at(Shared::kMu + m) = active ? load_pack<W>(a.mu[m] + c) : P{};

  const float per_column = 1.0f / static_cast<float>(a.C);
  float before[W] = {};
  int buffer = 0;
  for (int64_t group = first; group < end; group += G, buffer ^= 1) {
    float shift[G], sums[2 * G] = {};
#pragma unroll
    for (int i = 0; i < G; ++i) shift[i] = to_float(next_shift[i]);
    fetch_shift(group + G);
    copy_async_wait<1>();
    if (active) {
#pragma unroll
      for (int i = 0; i < G; ++i) {
        float x[W];
        load(packs.at(buffer * G + i)->x, x);
        add_shifted(x, shift[i], sums[2 * i], sums[2 * i + 1]);
      }
    }
    row_sums(sums, part[buffer]);
    float weight[W], bias[W];
    load(packs.at(Shared::kWeight)->x, weight);
    load(packs.at(Shared::kBias)->x, bias);
#pragma unroll
    for (int i = 0; i < G; ++i) {
      const int64_t row = group + i;
      if (row >= end || !active) break;
      float here[W];
      load(packs.at(buffer * G + i)->x, here);
      norm<T>(here, row_stats(sums[2 * i], sums[2 * i + 1], shift[i], per_column, a.eps), weight, bias);
      const bool begins = RESETS && row >= begin && (cut >> (row - begin) & 1u);
      if (t == 0 || begins) {
#pragma unroll
        for (int j = 0; j < W; ++j) before[j] = 0;
        if (a.state_in && !begins) load(a.state_in + b * a.C + c, before);
      }
      if (row >= begin) {
        P own[N];
        if constexpr (WEIGHTS == Weights::of_token) {
#pragma unroll
          for (int m = 0; m < N; ++m) own[m] = load_pack<W>(a.more.at[m] + row * a.C + c);
        }
#pragma unroll
        for (int m = 0; m < N; ++m) {
          float mu[W], out[W];
          load(packs.at(Shared::kMu + m)->x, mu);
          if constexpr (WEIGHTS == Weights::of_token) {
            to_floats(own[m], out);
#pragma unroll
            for (int j = 0; j < W; ++j) mu[j] += out[j];
          }
#pragma unroll
          for (int j = 0; j < W; ++j) {
            out[j] = WEIGHTS == Weights::of_self ? before[j] + (here[j] - before[j]) * mu[j] : here[j] + (before[j] - here[j]) * mu[j];
          }
          store(a.y[m] + row * a.C + c, out);
        }
      }
#pragma unroll
      for (int j = 0; j < W; ++j) before[j] = here[j];
      if (++t == a.length) {
        if (a.state_out) store(a.state_out + b * a.C + c, here);
        t = 0, ++b;
      }
    }
    fetch(group + 2 * G, buffer * G);
  }
}

template <class T, int N, Weights WEIGHTS>
void run_forward(const Exec& ex, const NormMixForward& a, const Tensor& state_out, int threads) {
  ForwardRows<T, N, WEIGHTS> rows{.x = a.x.as<T>(),
                                  .weight = a.weight.as<T>(),
                                  .bias = a.bias.as<T>(),
                                  .state_in = maybe<T>(a.state_in),
                                  .state_out = maybe<T>(state_out),
                                  .mu = {},
                                  .y = {},
                                  .resets = reset_flags(a.resets),
                                  .R = a.x.shape[0] * a.x.shape[1],
                                  .length = a.x.shape[1],
                                  .C = static_cast<int>(a.x.shape[2]),
                                  .eps = static_cast<float>(a.eps),
                                  .more = {}};
  for (size_t m = 0; m < N; ++m) {
    rows.mu[m] = a.mu[m].as<T>();
    rows.y[m] = a.y[m].as<T>();
    if constexpr (WEIGHTS == Weights::of_token) rows.more.at[m] = a.more[m].as<T>();
  }
  const Launch strips{.grid = static_cast<unsigned>(ceil_div(rows.R, kForwardStrip)),
                      .block = static_cast<unsigned>(threads),
                      .shared = ForwardShared<T, N>::Packs::bytes(threads)};
  if constexpr (kByWidth<T, N>) {
    const auto launch_for = [&]<bool RESETS>() {
      if (threads <= 256) {
        launch(ex, norm_mix_forward < T, N, WEIGHTS, 256, N == 1 ? 4 : 3, RESETS >, strips, rows);
      } else if (threads <= 320) {
        launch(ex, norm_mix_forward<T, N, WEIGHTS, 320, 2, RESETS>, strips, rows);
      } else {
        launch(ex, norm_mix_forward < T, N, WEIGHTS, kMaxRowThreads, N == 1 ? 2 : 1, RESETS >, strips, rows);
      }
    };
    rows.resets ? launch_for.template operator()<true>() : launch_for.template operator()<false>();
  } else {
    launch(ex, norm_mix_forward < T, N, WEIGHTS, WEIGHTS == Weights::of_token ? kTwoOf320 : kThreeOf256, 1, true >, strips, rows);
  }
}

}  // namespace

void run_fused(const Exec& ex, const NormMixForward& a, Weights weights, const Tensor& state_out, int threads) {
  with_mixes(a.n, weights, [&]<int N, Weights WEIGHTS>() {
    with_dtype(a.x.dtype, [&]<class T>() { run_forward<T, N, WEIGHTS>(ex, a, state_out, threads); });
  });
}

}  // namespace rk::cuda
