#include "kernels/common/partials.cuh"
#include "kernels/wkv4/blocks.cuh"

namespace rk::cuda {
namespace wkv4 {
namespace {

template <class T>
struct BackwardArgs {
  const T *k, *v, *w, *u, *dy;
  const float *saved, *dstate_out;
  T *dk, *dv;
  float *dstate_in, *partial;  // partial [B,2,A]: du, dw
  const uint8_t* resets;
  Sizes s;
};

// The states before a thread's tokens, in shared memory: [kTokens][3][threads] packs of WIDTH.
template <int WIDTH>
struct Tape {
  Pack<float, WIDTH>* own;
  __device__ explicit Tape(float* shared) : own(reinterpret_cast<Pack<float, WIDTH>*>(shared) + threadIdx.x) {}
  static size_t n_bytes(int threads) { return static_cast<size_t>(kTokens * 3 * threads * WIDTH) * sizeof(float); }

  __device__ __forceinline__ void put(int t, const Sum (&x)[WIDTH]) const {
    Pack<float, WIDTH> a, b, p;
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) a.x[i] = x[i].a, b.x[i] = x[i].b, p.x[i] = x[i].p;
    const int threads = static_cast<int>(blockDim.x);
    store_pack(&own[(t * 3 + 0) * threads].x[0], a);
    store_pack(&own[(t * 3 + 1) * threads].x[0], b);
    store_pack(&own[(t * 3 + 2) * threads].x[0], p);
  }
  __device__ __forceinline__ void get(int t, Sum (&x)[WIDTH]) const {
    const int threads = static_cast<int>(blockDim.x);
    const Pack<float, WIDTH> a = load_pack<WIDTH>(&own[(t * 3 + 0) * threads].x[0]), b = load_pack<WIDTH>(&own[(t * 3 + 1) * threads].x[0]),
                             p = load_pack<WIDTH>(&own[(t * 3 + 2) * threads].x[0]);
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) x[i] = {a.x[i], b.x[i], p.x[i]};
  }
};

// G of a time: the gradients of A and B there, a 2^p and b 2^p. Steps from the last to the first; in each, states go forward through the
// warps and G goes back.
template <class T, int WIDTH>
__global__ void __launch_bounds__(32 * kMaxWarps) backward(const __grid_constant__ BackwardArgs<T> p) {
  __shared__ WarpSums<WIDTH> sums;
  const Tape<WIDTH> tape(shared_memory<float>());
  const Place<WIDTH> at(p.s);
  const bool inside = at.channel() < p.s.A, scans = at.scans(p.s);
  const int n_warps = static_cast<int>(blockDim.x) / 32, thread = static_cast<int>(threadIdx.x);
  float decay[WIDTH] = {}, bonus[WIDTH] = {}, du[WIDTH] = {}, ddecay[WIDTH] = {}, scan_decay = 0;
  if (inside) {
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) {
      decay[i] = decay_of(p.w, at.channel() + i) * kLog2e;
      bonus[i] = to_float(p.u[at.channel() + i]) * kLog2e;
    }
  }
  if (scans) scan_decay = decay_of(p.w, at.scanned()) * kLog2e;
  const int64_t state = (static_cast<int64_t>(at.row) * p.s.A + at.scanned()) * 3;
  Sum G, start;  // of the channel that this thread scans
  Tokens<T, WIDTH> k, v, dy, next_k, next_v, next_dy;
  const auto load = [&](int step) {
    const int64_t offset = at.offset(p.s, step);
    const int n = at.n_tokens(p.s, step);
    next_k.load(p.k, offset, p.s.A, n, inside);
    next_v.load(p.v, offset, p.s.A, n, inside);
    next_dy.load(p.dy, offset, p.s.A, n, inside);
  };
  load(p.s.n_steps - 1);
  for (int step = p.s.n_steps - 1; step >= 0; --step) {
    k = next_k;
    v = next_v;
    dy = next_dy;
    if (step > 0) load(step - 1);
    const int n = at.n_tokens(p.s, step);
    const unsigned resets = at.resets(p.resets, p.s, step);
    Sum x[WIDTH];
#pragma unroll
    for (int t = 0; t < kTokens; ++t) {
      if (t < n) {
        float key[WIDTH], value[WIDTH];
        k.get(t, key);
        v.get(t, value);
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) {
          if (resets >> t & 1u) x[i] = Sum{};
          x[i] = plus(aged(x[i], decay[i]), {value[i], 1.0f, key[i] * kLog2e});
        }
      }
    }
    sums.put(at, x);
    if (at.lane == 0) sums.tokens[at.warp] = resets ? -1 : n;
    __syncthreads();
    if (scans) {
      const float* from = p.saved + at.saved(p.s, step);
      start = {from[0], from[p.s.A], from[2 * static_cast<int64_t>(p.s.A)]};
      const Sum end = sums.template scan<true>(start, thread, n_warps, scan_decay);
      if (p.dstate_out && step == p.s.n_steps - 1) G = {p.dstate_out[state], p.dstate_out[state + 1], -end.p};
    }
    __syncthreads();
    Sum g[WIDTH];  // what these tokens give to the sums before them
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) x[i] = sums.get(at.warp, at.lane * WIDTH + i);
#pragma unroll
    for (int t = 0; t < kTokens; ++t) {
      if (t < n) {
        float key[WIDTH], value[WIDTH], incoming[WIDTH];
        k.get(t, key);
        v.get(t, value);
        dy.get(t, incoming);
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) {
          if (resets >> t & 1u) x[i] = Sum{};
        }
        tape.put(t, x);
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) {
          key[i] *= kLog2e;
          if (!(resets & ((2u << t) - 1u))) {
            const Mean m = mean(x[i], value[i], bonus[i] + key[i]);
            const float unit = incoming[i] * m.unit;
            g[i] = plus(g[i], {unit, -unit * m.y, static_cast<float>(t) * decay[i] - m.scale});
          }
          x[i] = plus(aged(x[i], decay[i]), {value[i], 1.0f, key[i]});
        }
      }
    }
    sums.put(at, g);
    __syncthreads();
    if (scans) G = sums.template scan<false>(G, thread, n_warps, scan_decay);
    __syncthreads();
    const int64_t offset = at.offset(p.s, step);
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) g[i] = sums.get(at.warp, at.lane * WIDTH + i);
#pragma unroll
    for (int t = kTokens - 1; t >= 0; --t) {
      if (t < n) {
        float key[WIDTH], value[WIDTH], incoming[WIDTH], dkey[WIDTH], dvalue[WIDTH];
        k.get(t, key);
        v.get(t, value);
        dy.get(t, incoming);
        tape.get(t, x);
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) {
          key[i] *= kLog2e;
          const Mean m = mean(x[i], value[i], bonus[i] + key[i]);
          const float own = incoming[i] * m.own, own_dk = own * (value[i] - m.y), weight = fast_exp2(key[i] + g[i].p);
          dvalue[i] = own + weight * g[i].a;
          dkey[i] = own_dk + weight * (g[i].a * value[i] + g[i].b);
          du[i] += own_dk;
          ddecay[i] += fast_exp2(decay[i] + g[i].p + x[i].p) * (g[i].a * x[i].a + g[i].b * x[i].b);
          const float unit = incoming[i] * m.unit;
          g[i] = plus(aged(g[i], decay[i]), {unit, -unit * m.y, -m.scale});
          if (resets >> t & 1u) g[i] = Sum{};
        }
        if (inside) {
          store(p.dk + offset + static_cast<int64_t>(t) * p.s.A, dkey);
          store(p.dv + offset + static_cast<int64_t>(t) * p.s.A, dvalue);
        }
      }
    }
  }
  if (scans && p.dstate_in) {
    const float unit = fast_exp2(G.p + start.p);
    p.dstate_in[state] = unit * G.a;
    p.dstate_in[state + 1] = unit * G.b;
    p.dstate_in[state + 2] = 0;
  }
  Sum own[WIDTH];
#pragma unroll
  for (int i = 0; i < WIDTH; ++i) own[i] = {du[i], ddecay[i], 0};
  sums.put(at, own);
  __syncthreads();
  if (scans) {
    float sum_u = 0, sum_decay = 0;
    for (int warp = 0; warp < n_warps; ++warp) {
      const Sum x = sums.get(warp, thread);
      sum_u += x.a;
      sum_decay += x.b;
    }
    float* to = p.partial + static_cast<int64_t>(at.row) * 2 * p.s.A + at.scanned();
    to[0] = sum_u;
    to[p.s.A] = sum_decay * decay_of(p.w, at.scanned());
  }
}

}  // namespace
}  // namespace wkv4

void run(const Exec& ex, const Wkv4Backward& a) {
  const Shape& shape = a.k.shape;
  ArenaScope scope(*ex.scratch);
  const Tensor partial = ex.scratch->take(DType::f32, {shape[0], 2, shape[2]});
  if (ex.dry()) return;
  const wkv4::Layout layout(a.k.dtype, shape[0], shape[2]);
  const wkv4::Sizes s(shape, layout);
  Launch l{.grid = dim3(static_cast<unsigned>(shape[0] * s.groups)), .block = dim3(static_cast<unsigned>(32 * layout.warps))};
  with_dtype(a.k.dtype, [&]<class T>() {
    const wkv4::BackwardArgs<T> p{a.k.as<T>(),
                                  a.v.as<T>(),
                                  a.w.as<T>(),
                                  a.u.as<T>(),
                                  a.dy.as<T>(),
                                  a.saved_states.as<float>(),
                                  maybe<float>(a.dstate_out),
                                  a.dk.as<T>(),
                                  a.dv.as<T>(),
                                  maybe<float>(a.dstate_in),
                                  partial.as<float>(),
                                  reset_flags(a.resets),
                                  s};
    const auto launch_wide = [&]<int WIDTH>() {
      l.shared = wkv4::Tape<WIDTH>::n_bytes(32 * layout.warps);
      launch(ex, wkv4::backward<T, WIDTH>, l, p);
    };
    if constexpr (sizeof(T) == 2) {
      if (layout.width == 2) {
        wkv4::check_pairs({&a.k, &a.v, &a.dy, &a.dk, &a.dv});
        return launch_wide.template operator()<2>();
      }
    }
    launch_wide.template operator()<1>();
  });
  PartialTotals totals;
  totals.to[0] = maybe<float>(a.du);
  totals.to[1] = maybe<float>(a.dw);
  add_partials(ex, partial.as<float>(), static_cast<int>(shape[0]), 2, shape[2], totals);
}

}  // namespace rk::cuda
