#include "kernels/wkv4/blocks.cuh"

namespace rk::cuda {
namespace wkv4 {
namespace {

template <class T>
struct Args {
  const T *k, *v, *w, *u;
  T* y;
  const float* state_in;
  float *state_out, *saved;
  const uint8_t* resets;
  Sizes s;
};

template <class T, int WIDTH>
__global__ void __launch_bounds__(32 * kMaxWarps) forward(const __grid_constant__ Args<T> p) {
  __shared__ WarpSums<WIDTH> sums;
  const Place<WIDTH> at(p.s);
  const bool inside = at.channel() < p.s.A, scans = at.scans(p.s);
  const int n_warps = static_cast<int>(blockDim.x) / 32;
  float decay[WIDTH] = {}, bonus[WIDTH] = {}, scan_decay = 0;
  if (inside) {
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) {
      decay[i] = decay_of(p.w, at.channel() + i) * kLog2e;
      bonus[i] = to_float(p.u[at.channel() + i]) * kLog2e;
    }
  }
  Sum carry;
  const int64_t state = (static_cast<int64_t>(at.row) * p.s.A + at.scanned()) * 3;
  if (scans) {
    scan_decay = decay_of(p.w, at.scanned()) * kLog2e;
    if (p.state_in && p.state_in[state + 1] != 0) carry = {p.state_in[state], p.state_in[state + 1], p.state_in[state + 2] * kLog2e};
  }
  Tokens<T, WIDTH> k, v, next_k, next_v;
  const auto load = [&](int step) {
    const int64_t offset = at.offset(p.s, step);
    const int n = at.n_tokens(p.s, step);
    next_k.load(p.k, offset, p.s.A, n, inside);
    next_v.load(p.v, offset, p.s.A, n, inside);
  };
  load(0);
  for (int step = 0; step < p.s.n_steps; ++step) {
    k = next_k;
    v = next_v;
    if (step + 1 < p.s.n_steps) load(step + 1);
    const int n = at.n_tokens(p.s, step);
    const unsigned resets = at.resets(p.resets, p.s, step);
    Sum x[WIDTH];
    // The state from token to token; each(t, key, value) sees it before the token.
    const auto walk = [&](const auto& each) {
#pragma unroll
      for (int t = 0; t < kTokens; ++t) {
        if (t < n) {
          float key[WIDTH], value[WIDTH];
          k.get(t, key);
          v.get(t, value);
#pragma unroll
          for (int i = 0; i < WIDTH; ++i) {
            key[i] *= kLog2e;
            if (resets >> t & 1u) x[i] = Sum{};
          }
          each(t, key, value);
#pragma unroll
          for (int i = 0; i < WIDTH; ++i) x[i] = plus(aged(x[i], decay[i]), {value[i], 1.0f, key[i]});
        }
      }
    };
    walk([](int, const float(&)[WIDTH], const float(&)[WIDTH]) {});
    sums.put(at, x);
    if (at.lane == 0) sums.tokens[at.warp] = resets ? -1 : n;
    __syncthreads();
    if (scans) {
      if (p.saved) {
        float* to = p.saved + at.saved(p.s, step);
        to[0] = carry.a;
        to[p.s.A] = carry.b;
        to[2 * static_cast<int64_t>(p.s.A)] = carry.p;
      }
      carry = sums.template scan<true>(carry, static_cast<int>(threadIdx.x), n_warps, scan_decay);
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) x[i] = sums.get(at.warp, at.lane * WIDTH + i);
    T* const y = p.y + at.offset(p.s, step);
    walk([&](int t, const float(&key)[WIDTH], const float(&value)[WIDTH]) {
      float out[WIDTH];
#pragma unroll
      for (int i = 0; i < WIDTH; ++i) out[i] = mean(x[i], value[i], bonus[i] + key[i]).y;
      if (inside) store(y + static_cast<int64_t>(t) * p.s.A, out);
    });
  }
  if (scans && p.state_out) {
    p.state_out[state] = carry.a;
    p.state_out[state + 1] = carry.b;
    p.state_out[state + 2] = carry.p * kLn2;
  }
}

}  // namespace
}  // namespace wkv4

void run(const Exec& ex, const Wkv4Forward& a) {
  if (ex.dry()) return;
  const Shape& shape = a.k.shape;
  const wkv4::Layout layout(a.k.dtype, shape[0], shape[2]);
  const wkv4::Sizes s(shape, layout);
  const Launch l{.grid = dim3(static_cast<unsigned>(shape[0] * s.groups)), .block = dim3(static_cast<unsigned>(32 * layout.warps))};
  with_dtype(a.k.dtype, [&]<class T>() {
    const wkv4::Args<T> p{a.k.as<T>(),
                          a.v.as<T>(),
                          a.w.as<T>(),
                          a.u.as<T>(),
                          a.y.as<T>(),
                          maybe<float>(a.state_in),
                          maybe<float>(a.state_out),
                          maybe<float>(a.saved_states),
                          reset_flags(a.resets),
                          s};
    if constexpr (sizeof(T) == 2) {
      if (layout.width == 2) {
        wkv4::check_pairs({&a.k, &a.v, &a.y});
        return launch(ex, wkv4::forward<T, 2>, l, p);
      }
    }
    launch(ex, wkv4::forward<T, 1>, l, p);
  });
}

}  // namespace rk::cuda
