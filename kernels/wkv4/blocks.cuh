// What the two directions share. A block owns 32 x WIDTH neighbouring channels of one sequence and walks through its time in steps: its
// warps lie side by side in time, every thread holds kTokens tokens of its WIDTH channels. In each step warps sum up their tokens, a thread
// per channel adds these sums in order, and warps begin again from the state before their first token. So every number is read once, and
// what is sequential is one addition per warp. Exponents are those of two.
// Inside a warp most tokens go the short way (Weights), which has one exponential a token; the running maximum of every token is for the
// rest: keys that are far apart or far below the state, resets, the end of a sequence.
#pragma once
#include "kernels/common/fast_math.cuh"
#include "kernels/common/flat.cuh"
#include "kernels/common/numbers.cuh"
#include "kernels/common/reduce.cuh"
#include "kernels/common/resets.h"
#include "kernels/wkv4/op.h"
#include "kernels/wkv4/saved.h"

namespace rk::cuda::wkv4 {

inline constexpr float kLog2e = 1.44269504f, kLn2 = 0.69314718f;
inline constexpr float kNothing = -1e38f;  // the exponent of an empty state
inline constexpr int kMaxWarps = 16;

// Two sums with the exponent that they share: a 2^p, b 2^p.
struct Sum {
  float a = 0, b = 0, p = kNothing;
};
__device__ __forceinline__ Sum plus(const Sum& x, const Sum& y) {
  const float d = x.p - y.p, e = fast_exp2(-fabsf(d)), ex = d >= 0 ? 1.0f : e, ey = d >= 0 ? e : 1.0f;
  return {x.a * ex + y.a * ey, x.b * ex + y.b * ey, d >= 0 ? x.p : y.p};
}
__device__ __forceinline__ Sum aged(const Sum& x, float decay) { return {x.a, x.b, x.p + decay}; }

// A token's result: y, and the weights that lead to it divided by their sum: its own, and (times 2^-scale) anybody's 2^exponent.
struct Mean {
  float y, own, unit, scale;
};
__device__ __forceinline__ Mean mean(const Sum& x, float v, float own_exponent) {
  const float d = x.p - own_exponent, e = fast_exp2(-fabsf(d)), ex = d >= 0 ? 1.0f : e, own = d >= 0 ? e : 1.0f;
  const float unit = fast_reciprocal(x.b * ex + own);
  return {(x.a * ex + v * own) * unit, own * unit, unit, d >= 0 ? x.p : own_exponent};
}

struct Sizes {
  int64_t T;
  int A, groups, step, n_steps;  // blocks of channels; tokens of a step
  Sizes(const Shape& s, const Layout& l)
      : T(s[1]),
        A(static_cast<int>(s[2])),
        groups(static_cast<int>(ceil_div(s[2], l.channels()))),
        step(static_cast<int>(l.step())),
        n_steps(static_cast<int>(ceil_div(s[1], l.step()))) {}
};

inline void check_pairs(std::initializer_list<const Tensor*> tensors) {
  for (const Tensor* t : tensors) require(aligned(t->data, 4), "an even number of channels begins at a multiple of 4 bytes");
}

// Beyond -1e30 nothing is left after one token, and exponents stay finite.
template <class T>
__device__ __forceinline__ float decay_of(const T* w, int channel) {
  return fmaxf(-expf(to_float(w[channel])), -1e30f);
}

// This thread's place.
template <int WIDTH>
struct Place {
  static constexpr int kChannels = 32 * WIDTH;
  int lane, warp, row, first;  // of the batch; the block's first channel
  int channel;  // the first of its own. Lanes beyond the last channel repeat it: what they write to device memory are the same bits
  bool inside;  // is not a repetition

  explicit __device__ Place(const Sizes& s)
      : lane(static_cast<int>(threadIdx.x) % 32),
        warp(static_cast<int>(threadIdx.x) / 32),
        row(static_cast<int>(blockIdx.x) / s.groups),
        first(static_cast<int>(blockIdx.x) % s.groups * kChannels),
        channel(min(first + lane * WIDTH, s.A - WIDTH)),
        inside(first + lane * WIDTH < s.A) {}
  __device__ int64_t first_token(const Sizes& s, int step) const { return static_cast<int64_t>(step) * s.step + warp * kTokens; }
  // Its tokens of a step, 0 .. kTokens.
  __device__ int n_tokens(const Sizes& s, int step) const {
    const int64_t rest = s.T - first_token(s, step);
    return rest <= 0 ? 0 : rest < kTokens ? static_cast<int>(rest) : kTokens;
  }
  // Where they lie in [B,T,A].
  __device__ int64_t offset(const Sizes& s, int step) const { return (row * s.T + first_token(s, step)) * s.A + channel; }
  // The thread that adds up this channel's sums, if it is inside.
  __device__ bool scans(const Sizes& s) const { return static_cast<int>(threadIdx.x) < kChannels && scanned() < s.A; }
  __device__ int scanned() const { return first + static_cast<int>(threadIdx.x); }
  // Of saved states [B, n_steps, 3, A].
  __device__ int64_t saved(const Sizes& s, int step) const { return (static_cast<int64_t>(row) * s.n_steps + step) * 3 * s.A + scanned(); }
  // Not 0: a document begins at this lane's token of a step. Loaded a step ahead.
  __device__ unsigned reset_flag(const uint8_t* flags, const Sizes& s, int step) const {
    return flags && lane < n_tokens(s, step) ? flags[row * s.T + first_token(s, step) + lane] : 0u;
  }
};

// kTokens tokens of a sequence as they lie in memory; zeros where there are none.
template <class T, int WIDTH>
struct Tokens {
  Pack<T, WIDTH> x[kTokens];

  __device__ __forceinline__ void load(const T* from, int stride, int n) {
    if (n == kTokens) {
#pragma unroll
      for (int t = 0; t < kTokens; ++t) x[t] = load_pack<WIDTH>(from + t * stride);
    } else {
#pragma unroll
      for (int t = 0; t < kTokens; ++t) x[t] = t < n ? load_pack<WIDTH>(from + t * stride) : Pack<T, WIDTH>{};
    }
  }
  __device__ __forceinline__ void get(int t, float (&to)[WIDTH]) const { to_floats(x[t], to); }
};

// What a thread knows of its channels.
template <int WIDTH>
struct Channels {
  float decay[WIDTH], bonus[WIDTH], kept[WIDTH], own[WIDTH];  // exponents, and their powers

  template <class T>
  __device__ Channels(const T* w, const T* u, int channel) {
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) {
      decay[i] = decay_of(w, channel + i) * kLog2e;
      bonus[i] = to_float(u[channel + i]) * kLog2e;
      kept[i] = fast_exp2(decay[i]);
      own[i] = fast_exp2(bonus[i]);
    }
  }
};

// A thread's tokens, all of one document, by weights 2^(k_t - top), top the largest key. With sums in units of 2^top a token is a <- kept a
// + w v, b <- kept b + w, and its own weight in its result is own w. That is right unless numbers are so far apart that floats lose them.
template <int WIDTH>
struct Weights {
  static constexpr float kFar = 60;  // powers of two
  float w[kTokens][WIDTH], top[WIDTH];

  // Also their sums, with the largest exponent there is behind them; false, and nothing, where that is not right for all of the warp.
  template <class T>
  __device__ __forceinline__ bool find(const Tokens<T, WIDTH>& k, const Tokens<T, WIDTH>& v, const Channels<WIDTH>& c, Sum (&sums)[WIDTH]) {
    float low[WIDTH], largest[WIDTH];
    bool near = true;
#pragma unroll
    for (int t = 0; t < kTokens; ++t) {
      k.get(t, w[t]);
#pragma unroll
      for (int i = 0; i < WIDTH; ++i) {
        top[i] = t == 0 ? w[t][i] : fmaxf(top[i], w[t][i]);
        low[i] = t == 0 ? w[t][i] : fminf(low[i], w[t][i]);
      }
    }
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) {
      top[i] *= kLog2e;
      near = near && low[i] * kLog2e - top[i] + fminf(c.bonus[i], 0.0f) >= -kFar && c.bonus[i] <= kFar;
    }
    if (!__all_sync(kWholeWarp, near)) return false;
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) sums[i] = {0, 0, 0};
#pragma unroll
    for (int t = 0; t < kTokens; ++t) {
      float value[WIDTH];
      v.get(t, value);
#pragma unroll
      for (int i = 0; i < WIDTH; ++i) {
        const float exponent = w[t][i] * kLog2e - top[i];
        w[t][i] = fast_exp2(exponent);
        largest[i] = t == 0 ? exponent : fmaxf(largest[i] + c.decay[i], exponent);
        sums[i].a = sums[i].a * c.kept[i] + w[t][i] * value[i];
        sums[i].b = sums[i].b * c.kept[i] + w[t][i];
      }
    }
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) {
      const float unit = fast_exp2(-largest[i]);
      sums[i] = {sums[i].a * unit, sums[i].b * unit, top[i] + largest[i]};
    }
    return true;
  }
  // Brings the state before the tokens to units of 2^top, if that is right for all of the warp.
  __device__ __forceinline__ bool begin(const Sum (&x)[WIDTH], float (&a)[WIDTH], float (&b)[WIDTH]) const {
    bool near = true;
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) {
      const float unit = fast_exp2(x[i].p - top[i]);
      near = near && x[i].p - top[i] <= kFar;
      a[i] = x[i].a * unit;
      b[i] = x[i].b * unit;
    }
    return __all_sync(kWholeWarp, near) != 0;
  }
};

// A warp's sums, and behind the scan what goes in front of them (backward: behind them).
template <int WIDTH>
struct WarpSums {
  static constexpr int kChannels = 32 * WIDTH;
  float x[3][kMaxWarps][kChannels];
  int tokens[kMaxWarps];  // -1: a document begins among them

  __device__ void put(const Place<WIDTH>& at, const Sum (&own)[WIDTH]) {
    __syncwarp();  // repeating lanes have read what stood there
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) {
      if (at.inside) set(at.warp, at.channel - at.first + i, own[i]);
    }
  }
  __device__ void get(const Place<WIDTH>& at, Sum (&own)[WIDTH]) const {
#pragma unroll
    for (int i = 0; i < WIDTH; ++i) own[i] = get(at.warp, at.channel - at.first + i);
  }
  __device__ Sum get(int warp, int channel) const { return {x[0][warp][channel], x[1][warp][channel], x[2][warp][channel]}; }
  __device__ void set(int warp, int channel, const Sum& s) {
    x[0][warp][channel] = s.a;
    x[1][warp][channel] = s.b;
    x[2][warp][channel] = s.p;
  }
  // `carry` goes through the warps from first to last, or the other way round.
  template <bool FORWARD>
  __device__ Sum scan(Sum carry, int channel, int n_warps, float decay) {
    constexpr int kAtOnce = 8;
    for (int from = 0; from < n_warps; from += kAtOnce) {
      const auto warp = [&](int i) { return FORWARD ? from + i : n_warps - 1 - from - i; };
      Sum own[kAtOnce];
      int n[kAtOnce];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        own[i] = get(warp(i), channel);
        n[i] = tokens[warp(i)];
      }
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        set(warp(i), channel, carry);
        const bool cut = n[i] < 0;
        const Sum before{cut ? 0.0f : carry.a, cut ? 0.0f : carry.b, cut ? kNothing : carry.p + static_cast<float>(n[i]) * decay};
        carry = plus(before, own[i]);
      }
    }
    return carry;
  }
};

}  // namespace rk::cuda::wkv4
