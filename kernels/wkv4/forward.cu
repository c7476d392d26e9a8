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

// One token after the other from the state x before them. each(t, key, value) sees x before the token; keys, which are read again, as
// powers of two.
template <class T, int WIDTH, class Each>
__device__ __forceinline__ void walk(const T* k, int stride, const Tokens<T, WIDTH>& v, const Channels<WIDTH>& c, int n, unsigned resets,
                                     Sum (&x)[WIDTH], const Each& each) {
#pragma unroll
  for (int t = 0; t < kTokens; ++t) {
    if (t < n) {
      float key[WIDTH], value[WIDTH];
      load<WIDTH>(k + t * stride, key);
      v.get(t, value);
#pragma unroll
      for (int i = 0; i < WIDTH; ++i) {
        key[i] *= kLog2e;
        if (resets >> t & 1u) x[i] = Sum{};
      }
      each(t, key, value);
#pragma unroll
      for (int i = 0; i < WIDTH; ++i) x[i] = plus(aged(x[i], c.decay[i]), {value[i], 1.0f, key[i]});
    }
  }
}

template <class T, int WIDTH>
__global__ void __launch_bounds__(32 * kMaxWarps) forward(const __grid_constant__ Args<T> p) {
  __shared__ WarpSums<WIDTH> sums;
  const Place<WIDTH> at(p.s);
  const bool scans = at.scans(p.s);
  const int n_warps = static_cast<int>(blockDim.x) / 32;
  const Channels<WIDTH> c(p.w, p.u, at.channel);
  const int64_t state = (static_cast<int64_t>(at.row) * p.s.A + at.scanned()) * 3;
  const int stride = p.s.A;
  float scan_decay = 0;
  Sum carry;
  if (scans) {
    scan_decay = decay_of(p.w, at.scanned()) * kLog2e;
    if (p.state_in && p.state_in[state + 1] != 0) carry = {p.state_in[state], p.state_in[state + 1], p.state_in[state + 2] * kLog2e};
  }
  Tokens<T, WIDTH> k, v, next_v;
  k.load(p.k + at.offset(p.s, 0), stride, at.n_tokens(p.s, 0));
  next_v.load(p.v + at.offset(p.s, 0), stride, at.n_tokens(p.s, 0));
  unsigned next_flag = at.reset_flag(p.resets, p.s, 0);
  for (int step = 0; step < p.s.n_steps; ++step) {
    const int64_t offset = at.offset(p.s, step);
    const int n = at.n_tokens(p.s, step), next_n = step + 1 < p.s.n_steps ? at.n_tokens(p.s, step + 1) : 0;
    const int64_t next = next_n > 0 ? at.offset(p.s, step + 1) : 0;
    v = next_v;
    next_v.load(p.v + next, stride, next_n);
    const unsigned resets = p.resets ? __ballot_sync(kWholeWarp, next_flag != 0) : 0;  // bit t: before token t
    next_flag = at.reset_flag(p.resets, p.s, step + 1);
    Sum x[WIDTH];
    Weights<WIDTH> weights;
    const bool weighed = n == kTokens && resets == 0 && weights.find(k, v, c, x);
    if (!weighed) walk(p.k + offset, stride, v, c, n, resets, x, [](int, const float(&)[WIDTH], const float(&)[WIDTH]) {});
    k.load(p.k + next, stride, next_n);
    sums.put(at, x);
    if (at.lane == 0) sums.tokens[at.warp] = resets ? -1 : n;
    __syncthreads();
    if (scans) {
      if (p.saved) {
        float* to = p.saved + at.saved(p.s, step);
        to[0] = carry.a;
        to[stride] = carry.b;
        to[2 * stride] = carry.p;
      }
      carry = sums.template scan<true>(carry, static_cast<int>(threadIdx.x), n_warps, scan_decay);
    }
    __syncthreads();
    sums.get(at, x);
    T* const y = p.y + offset;
    float a[WIDTH], b[WIDTH];
    if (weighed && weights.begin(x, a, b)) {
#pragma unroll
      for (int t = 0; t < kTokens; ++t) {
        float value[WIDTH], out[WIDTH];
        v.get(t, value);
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) {
          const float w = weights.w[t][i], wv = w * value[i];
          out[i] = (a[i] + c.own[i] * wv) * fast_reciprocal(b[i] + c.own[i] * w);
          a[i] = a[i] * c.kept[i] + wv;
          b[i] = b[i] * c.kept[i] + w;
        }
        store(y + t * stride, out);
      }
    } else {
      walk(p.k + offset, stride, v, c, n, resets, x, [&](int t, const float(&key)[WIDTH], const float(&value)[WIDTH]) {
        float out[WIDTH];
#pragma unroll
        for (int i = 0; i < WIDTH; ++i) out[i] = mean(x[i], value[i], c.bonus[i] + key[i]).y;
        store(y + t * stride, out);
      });
    }
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
