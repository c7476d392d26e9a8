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

// What a thread keeps of its tokens from the way there to the way back: up to three numbers of each, in shared memory.
template <int WIDTH>
struct Tape {
  Pack<float, WIDTH>* own;
  __device__ explicit Tape(float* shared) : own(reinterpret_cast<Pack<float, WIDTH>*>(shared) + threadIdx.x) {}
  static size_t n_bytes(int threads) { return static_cast<size_t>(kTokens * 3 * threads * WIDTH) * sizeof(float); }

  __device__ __forceinline__ void put(int t, int which, const float (&x)[WIDTH]) const {
    store(&own[(t * 3 + which) * static_cast<int>(blockDim.x)].x[0], x);
  }
  __device__ __forceinline__ void get(int t, int which, float (&x)[WIDTH]) const {
    load<WIDTH>(&own[(t * 3 + which) * static_cast<int>(blockDim.x)].x[0], x);
  }
  __device__ __forceinline__ void put(int t, const Sum (&x)[WIDTH]) const {
    float a[WIDTH], b[WIDTH], p[WIDTH];
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) a[i] = x[i].a, b[i] = x[i].b, p[i] = x[i].p;
    put(t, 0, a);
    put(t, 1, b);
    put(t, 2, p);
  }
  __device__ __forceinline__ void get(int t, Sum (&x)[WIDTH]) const {
    float a[WIDTH], b[WIDTH], p[WIDTH];
    get(t, 0, a);
    get(t, 1, b);
    get(t, 2, p);
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) x[i] = {a[i], b[i], p[i]};
  }
};

template <int WIDTH>
struct ChannelSums {
  float du[WIDTH] = {}, ddecay[WIDTH] = {};
};

// A thread's tokens in one step. G of a time: the gradients of A and B there, a 2^p and b 2^p.
template <class T, int WIDTH>
struct Slice {
  const Channels<WIDTH>& c;
  const Tape<WIDTH>& tape;
  int stride;
  int n;
  unsigned resets;
  const T *k, *v, *dy;  // read again on the long way, since there are no registers left for them

  // One token: key as a power of two.
  struct Token {
    float key[WIDTH], value[WIDTH], incoming[WIDTH];
  };
  __device__ __forceinline__ Token token(int t) const {
    Token x;
    load<WIDTH>(k + t * stride, x.key);
    load<WIDTH>(v + t * stride, x.value);
    load<WIDTH>(dy + t * stride, x.incoming);
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) x.key[i] *= kLog2e;
    return x;
  }
  __device__ __forceinline__ void step(const Token& token, Sum (&x)[WIDTH]) const {
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) x[i] = plus(aged(x[i], c.decay[i]), {token.value[i], 1.0f, token.key[i]});
  }
  __device__ __forceinline__ void reset_before(int t, Sum (&x)[WIDTH]) const {
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) {
      if (resets >> t & 1u) x[i] = Sum{};
    }
  }

  // With the running maximum of every token. The sums of the tokens:
  __device__ __forceinline__ void add_up(Sum (&x)[WIDTH]) const {
#pragma unroll 2
    for (int t = 0; t < n; ++t) {
      reset_before(t, x);
      step(token(t), x);
    }
  }
  // From the state before them: what they give to G there. The tape holds the states before the tokens.
  __device__ __forceinline__ void go(Sum (&x)[WIDTH], Sum (&g)[WIDTH]) const {
#pragma unroll 2
    for (int t = 0; t < n; ++t) {
      const Token own = token(t);
      reset_before(t, x);
      tape.put(t, x);
      if (!(resets & ((2u << t) - 1u))) {
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) {
          const Mean m = mean(x[i], own.value[i], c.bonus[i] + own.key[i]);
          const float unit = own.incoming[i] * m.unit;
          g[i] = plus(g[i], {unit, -unit * m.y, static_cast<float>(t) * c.decay[i] - m.scale});
        }
      }
      step(own, x);
    }
  }
  // From G behind them: each(t, dkey, dvalue).
  template <class Each>
  __device__ __forceinline__ void come_back(Sum (&g)[WIDTH], ChannelSums<WIDTH>& sums, const Each& each) const {
#pragma unroll 2
    for (int t = n - 1; t >= 0; --t) {
      const Token own = token(t);
      Sum x[WIDTH];
      float dkey[WIDTH], dvalue[WIDTH];
      tape.get(t, x);
#pragma unroll
      for (int i = 0; i < WIDTH; ++i) {
        const Mean m = mean(x[i], own.value[i], c.bonus[i] + own.key[i]);
        const float share = own.incoming[i] * m.own, own_dk = share * (own.value[i] - m.y), weight = fast_exp2(own.key[i] + g[i].p);
        dvalue[i] = share + weight * g[i].a;
        dkey[i] = own_dk + weight * (g[i].a * own.value[i] + g[i].b);
        sums.du[i] += own_dk;
        sums.ddecay[i] += fast_exp2(c.decay[i] + g[i].p + x[i].p) * (g[i].a * x[i].a + g[i].b * x[i].b);
        const float unit = own.incoming[i] * m.unit;
        g[i] = plus(aged(g[i], c.decay[i]), {unit, -unit * m.y, -m.scale});
      }
      reset_before(t, g);
      each(t, dkey, dvalue);
    }
  }
};

// The same by weights, with sums in units of 2^top and G in units of 2^-top. The tape holds units, y and two sums. The decay's gradient is
// the sum over tokens t of kept times G behind t times the state before t: on the way there of what tokens of the slice give to G
// (`pairs`), on the way back of what comes from behind it (a, b: the sum of states, each as it is when the last token comes).
template <class T, int WIDTH>
struct NearSlice {
  const Slice<T, WIDTH>& s;
  const Weights<WIDTH>& weights;
  const Tokens<T, WIDTH>& v;

  __device__ __forceinline__ void go(const Tokens<T, WIDTH>& dy, float (&state_a)[WIDTH], float (&state_b)[WIDTH], Sum (&g)[WIDTH],
                                     ChannelSums<WIDTH>& sums) const {
    float since[WIDTH], a[WIDTH] = {}, b[WIDTH] = {}, pairs[WIDTH] = {};  // since: what is left after t tokens
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) {
      g[i] = {0, 0, -weights.top[i]};
      since[i] = 1;
    }
#pragma unroll
    for (int t = 0; t < kTokens; ++t) {
      float value[WIDTH], incoming[WIDTH], unit[WIDTH], y[WIDTH];
      v.get(t, value);
      dy.get(t, incoming);
#pragma unroll
      for (int i = 0; i < WIDTH; ++i) {
        const float kept = s.c.kept[i], w = weights.w[t][i], wv = w * value[i], one = fast_reciprocal(state_b[i] + s.c.own[i] * w);
        y[i] = (state_a[i] + s.c.own[i] * wv) * one;
        unit[i] = incoming[i] * one;
        pairs[i] += unit[i] * (a[i] - y[i] * b[i]);
        a[i] = a[i] * kept + state_a[i];
        b[i] = b[i] * kept + state_b[i];
        state_a[i] = state_a[i] * kept + wv;
        state_b[i] = state_b[i] * kept + w;
        const float share = since[i] * unit[i];
        g[i].a += share;
        g[i].b -= share * y[i];
        since[i] *= kept;
      }
      s.tape.put(t, 0, unit);
      s.tape.put(t, 1, y);
    }
    s.tape.put(0, 2, a);
    s.tape.put(1, 2, b);
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) sums.ddecay[i] += s.c.kept[i] * pairs[i];
  }
  template <class Each>
  __device__ __forceinline__ void come_back(const Sum (&g)[WIDTH], ChannelSums<WIDTH>& sums, const Each& each) const {
    float ga[WIDTH], gb[WIDTH], a[WIDTH], b[WIDTH];
    s.tape.get(0, 2, a);
    s.tape.get(1, 2, b);
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) {
      const float power = fast_exp2(g[i].p + weights.top[i]);
      ga[i] = g[i].a * power;
      gb[i] = g[i].b * power;
      sums.ddecay[i] += s.c.kept[i] * (ga[i] * a[i] + gb[i] * b[i]);
    }
#pragma unroll
    for (int t = kTokens - 1; t >= 0; --t) {
      float value[WIDTH], unit[WIDTH], y[WIDTH], dkey[WIDTH], dvalue[WIDTH];
      v.get(t, value);
      s.tape.get(t, 0, unit);
      s.tape.get(t, 1, y);
#pragma unroll
      for (int i = 0; i < WIDTH; ++i) {
        const float kept = s.c.kept[i], w = weights.w[t][i], share = s.c.own[i] * unit[i], own_dk = share * (value[i] - y[i]);
        dvalue[i] = w * (ga[i] + share);
        dkey[i] = w * (ga[i] * value[i] + gb[i] + own_dk);
        sums.du[i] += w * own_dk;
        ga[i] = ga[i] * kept + unit[i];
        gb[i] = gb[i] * kept - unit[i] * y[i];
      }
      each(t, dkey, dvalue);
    }
  }
};

// Steps from the last to the first; in each, states go forward through the warps and G comes back.
template <class T, int WIDTH>
__global__ void __launch_bounds__(32 * kMaxWarps) backward(const __grid_constant__ BackwardArgs<T> p) {
  __shared__ WarpSums<WIDTH> sums;
  const Tape<WIDTH> tape(shared_memory<float>());
  const Place<WIDTH> at(p.s);
  const bool scans = at.scans(p.s);
  const int n_warps = static_cast<int>(blockDim.x) / 32, thread = static_cast<int>(threadIdx.x);
  const Channels<WIDTH> c(p.w, p.u, at.channel);
  const int64_t state = (static_cast<int64_t>(at.row) * p.s.A + at.scanned()) * 3;
  const int stride = p.s.A;
  const float scan_decay = scans ? decay_of(p.w, at.scanned()) * kLog2e : 0.0f;
  Sum G;  // of the channel that this thread scans
  ChannelSums<WIDTH> channel_sums;
  Slice<T, WIDTH> own{c, tape, stride, 0, 0, nullptr, nullptr, nullptr};
  Tokens<T, WIDTH> k, v, dy, next_v;
  const int last = p.s.n_steps - 1;
  k.load(p.k + at.offset(p.s, last), stride, at.n_tokens(p.s, last));
  dy.load(p.dy + at.offset(p.s, last), stride, at.n_tokens(p.s, last));
  next_v.load(p.v + at.offset(p.s, last), stride, at.n_tokens(p.s, last));
  unsigned next_flag = at.reset_flag(p.resets, p.s, last);
  for (int step = last; step >= 0; --step) {
    const int64_t offset = at.offset(p.s, step), next = step > 0 ? at.offset(p.s, step - 1) : 0;
    const int next_n = step > 0 ? kTokens : 0;
    v = next_v;
    next_v.load(p.v + next, stride, next_n);
    own.k = p.k + offset;
    own.v = p.v + offset;
    own.dy = p.dy + offset;
    own.n = at.n_tokens(p.s, step);
    own.resets = p.resets ? __ballot_sync(kWholeWarp, next_flag != 0) : 0;  // bit t: before token t
    if (step > 0) next_flag = at.reset_flag(p.resets, p.s, step - 1);
    Sum start;
    if (scans) {
      const float* from = p.saved + at.saved(p.s, step);
      start = {from[0], from[stride], from[2 * stride]};
    }
    Sum x[WIDTH];
    Weights<WIDTH> weights;
    const bool weighed = own.n == kTokens && own.resets == 0 && weights.find(k, v, c, x);
    if (!weighed) own.add_up(x);
    k.load(p.k + next, stride, next_n);
    sums.put(at, x);
    if (at.lane == 0) sums.tokens[at.warp] = own.resets ? -1 : own.n;
    __syncthreads();
    if (scans) {
      const Sum end = sums.template scan<true>(start, thread, n_warps, scan_decay);
      if (p.dstate_out && step == p.s.n_steps - 1) G = {p.dstate_out[state], p.dstate_out[state + 1], -end.p};
    }
    __syncthreads();
    sums.get(at, x);
    Sum g[WIDTH];
    float a[WIDTH], b[WIDTH];
    const NearSlice<T, WIDTH> near_slice{own, weights, v};
    const bool near = weighed && weights.begin(x, a, b);
    if (near) {
      near_slice.go(dy, a, b, g, channel_sums);
    } else {
      own.go(x, g);
    }
    dy.load(p.dy + next, stride, next_n);
    sums.put(at, g);
    __syncthreads();
    if (scans) G = sums.template scan<false>(G, thread, n_warps, scan_decay);
    __syncthreads();
    sums.get(at, g);
    T *const dk = p.dk + offset, *const dv = p.dv + offset;
    const auto write = [&](int t, const float(&dkey)[WIDTH], const float(&dvalue)[WIDTH]) {
      store(dk + t * stride, dkey);
      store(dv + t * stride, dvalue);
    };
    if (near) {
      near_slice.come_back(g, channel_sums, write);
    } else {
      own.come_back(g, channel_sums, write);
    }
  }
  if (scans && p.dstate_in) {
    const float unit = fast_exp2(G.p + p.saved[at.saved(p.s, 0) + 2 * stride]);
    p.dstate_in[state] = unit * G.a;
    p.dstate_in[state + 1] = unit * G.b;
    p.dstate_in[state + 2] = 0;
  }
  Sum of_warp[WIDTH];
#pragma unroll
  for (int i = 0; i < WIDTH; ++i) of_warp[i] = {channel_sums.du[i], channel_sums.ddecay[i], 0};
  sums.put(at, of_warp);
  __syncthreads();
  if (scans) {
    float du = 0, ddecay = 0;
    for (int warp = 0; warp < n_warps; ++warp) {
      const Sum x = sums.get(warp, thread);
      du += x.a;
      ddecay += x.b;
    }
    float* to = p.partial + static_cast<int64_t>(at.row) * 2 * stride + at.scanned();
    to[0] = du;
    to[stride] = ddecay * decay_of(p.w, at.scanned());
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
