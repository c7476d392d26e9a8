// Building blocks of the chunked WKV-7 phases: one block of 128 threads works on one chunk of 32 tokens of one head.
// Thread n owns tokens 2 (n / 8), + 1 and channels 8 (n % 8) ... + 7 while operands are prepared; then warps own slabs of 16 rows.
#pragma once
#include <type_traits>

#include "kernels/common/fast_math.cuh"
#include "kernels/common/mma.cuh"
#include "kernels/common/numbers.cuh"
#include "kernels/common/reduce.cuh"
#include "kernels/common/tiles.cuh"
#include "kernels/wkv7/cuda_layout.h"

namespace rk::cuda::wkv7 {

inline constexpr int kWarps = kThreads / 32;

// ---- Where tensors lie
// -------------------------------------------------------------------------------------------------------------------

// Scratch of the chunk maps (cuda_layout.h); a null pointer: not made in this phase.
struct Maps {
  __half *e, *d, *q, *y0;
  float *decay, *scale;  // [chunks][64] decay over a chunk, [chunks][kScales]
};
// S before, or G after, every chunk.
struct States {
  __half* number;    // [chunks] tiles
  float* row_scale;  // [chunks][64]
};
inline States saved_states(void* memory, int64_t chunks) {
  auto* number = static_cast<__half*>(memory);
  return {number, reinterpret_cast<float*>(number + chunks * kSquare)};
}

// Sequences [B,T,H,64].
struct Sequences {
  int64_t T;
  int H, n_chunks;
  const uint8_t* resets;  // [B,T], null: none
};
// A chunk's tokens in such a sequence.
struct ChunkRows {
  int64_t first;   // element of the first token's first channel
  int64_t stride;  // elements between tokens
  int n_tokens;    // 1 ... kTokens; the missing ones count as zeros with decay 1
};
__device__ __forceinline__ ChunkRows chunk_rows(const Sequences& s, int64_t head, int chunk) {
  const int64_t stride = static_cast<int64_t>(s.H) * kHead, t = static_cast<int64_t>(chunk) * kTokens;
  const int64_t rest = s.T - t;
  return {(head / s.H * s.T + t) * stride + head % s.H * kHead, stride, rest < kTokens ? static_cast<int>(rest) : kTokens};
}

// ---- Scales
// ------------------------------------------------------------------------------------------------------------------------------

// Order of magnitudes as bits, so that NaN is the largest.
__device__ __forceinline__ uint32_t magnitude(float x) { return __float_as_uint(x) & 0x7fffffffu; }
__device__ __forceinline__ uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }
// The largest magnitude of many: as signed numbers the largest positive one leads, as unsigned ones the largest negative one if there is
// any.
struct Largest {
  int positive = 0;
  uint32_t negative = 0;

  __device__ __forceinline__ void see(float x) {
    const int bits = __float_as_int(x);
    positive = bits > positive ? bits : positive;
    negative = larger(negative, static_cast<uint32_t>(bits));
  }
  __device__ __forceinline__ uint32_t magnitude() const { return larger(static_cast<uint32_t>(positive), negative & 0x7fffffffu); }
};
// Over the warp's groups of WIDTH neighbours; a whole warp's by one instruction.
template <int WIDTH = 32>
__device__ __forceinline__ uint32_t warp_largest(uint32_t x) {
  if constexpr (WIDTH == 32) {
    return __reduce_max_sync(kWholeWarp, x);
  } else {
#pragma unroll
    for (int step = WIDTH / 2; step > 0; step /= 2) x = larger(x, __shfl_xor_sync(kWholeWarp, x, step));
    return x;
  }
}
// The power of two that brings a tile's largest magnitude into [2^aim, 2^(aim+1)): 1 for an empty tile, NaN for one that is not finite.
__device__ __forceinline__ float power_scale(uint32_t largest, int aim) {
  const int exponent = static_cast<int>(largest >> 23);
  if (largest == 0) return 1.0f;
  if (exponent == 255) return __uint_as_float(0x7fffffffu);
  const int e = exponent - aim;
  return __uint_as_float(static_cast<uint32_t>(e < 1 ? 1 : e > 253 ? 253 : e) << 23);
}
// 1 / such a power of two.
__device__ __forceinline__ float inverse_scale(float scale) {
  return scale == scale ? __uint_as_float((254u << 23) - __float_as_uint(scale)) : scale;
}
// 1 / x of a power of two from power_scale(), which is at most 2^126; not finite or huge for NaN.
__device__ __forceinline__ float inverse_power(float x) { return __uint_as_float((254u << 23) - __float_as_uint(x)); }
inline constexpr int kStoreAim = 14;  // of tiles in memory: as far from fp16's denormals as they go

__device__ __forceinline__ void unpack_half2(float& low, float& high, uint32_t x) {
  const auto p = *reinterpret_cast<const Pack<__half, 2>*>(&x);
  low = to_float(p.x[0]);
  high = to_float(p.x[1]);
}
__device__ __forceinline__ uint32_t pack_half2(float low, float high) {
  Pack<__half, 2> p;
  p.x[0] = __float2half_rn(low);
  p.x[1] = __float2half_rn(high);
  return *reinterpret_cast<const uint32_t*>(&p);
}

// d (16 x 8 NT) += A (16 x 16) * B, B[k][n] = tile[row + k][column + n].
template <class L, int NT>
__device__ __forceinline__ void multiply(float (&d)[NT][4], const uint32_t (&a)[4], const __half* tile, int row, int column) {
#pragma unroll
  for (int n = 0; n < NT; n += 2) {
    uint32_t b[2][2];
    b_of<L>(b, tile, row, column + n * 8);
    mma(d[n], a, b[0], static_cast<const __half*>(nullptr));
    mma(d[n + 1], a, b[1], static_cast<const __half*>(nullptr));
  }
}
// The same with B[k][n] = tile[row + n][column + k].
template <class L, int NT>
__device__ __forceinline__ void multiply_transpose(float (&d)[NT][4], const uint32_t (&a)[4], const __half* tile, int row, int column) {
#pragma unroll
  for (int n = 0; n < NT; n += 2) {
    uint32_t b[2][2];
    b_of_transpose<L>(b, tile, row + n * 8, column);
    mma(d[n], a, b[0], static_cast<const __half*>(nullptr));
    mma(d[n + 1], a, b[1], static_cast<const __half*>(nullptr));
  }
}

// Two neighbouring accumulator tiles (16 x 16) times `factor` as an A operand.
__device__ __forceinline__ void a_of_acc(uint32_t (&a)[4], const float (&left)[4], const float (&right)[4], float factor = 1.0f) {
  a[0] = pack_half2(left[0] * factor, left[1] * factor);
  a[1] = pack_half2(left[2] * factor, left[3] * factor);
  a[2] = pack_half2(right[0] * factor, right[1] * factor);
  a[3] = pack_half2(right[2] * factor, right[3] * factor);
}
// Their transpose as a B operand: B[k][n] = acc[n][k] (n = 0 ... 15).
__device__ __forceinline__ void b_of_acc_transpose(uint32_t (&b)[2][2], const uint32_t (&a)[4]) {
  b[0][0] = a[0], b[0][1] = a[2], b[1][0] = a[1], b[1][1] = a[3];
}

// Accumulators times `factor` into rows row ... row + 15 of a tile (shared memory or global).
template <class L, int NT>
__device__ __forceinline__ void store_acc(__half* tile, int row, int column, const float (&d)[NT][4], float factor = 1.0f) {
#pragma unroll
  for (int n = 0; n < NT; ++n) {
#pragma unroll
    for (int e = 0; e < 4; e += 2) {
      *acc_pair<L>(tile, row, column, n, e) = pack_half2(d[n][e] * factor, d[n][e + 1] * factor);
    }
  }
}
template <int NT>
__device__ __forceinline__ uint32_t largest_of(const float (&d)[NT][4]) {
  Largest m;
#pragma unroll
  for (int n = 0; n < NT; ++n) {
#pragma unroll
    for (int e = 0; e < 4; ++e) m.see(d[n][e]);
  }
  return m.magnitude();
}
template <int NT>
__device__ __forceinline__ void scale_acc(float (&d)[NT][4], float factor) {
#pragma unroll
  for (int n = 0; n < NT; ++n) {
#pragma unroll
    for (int e = 0; e < 4; ++e) d[n][e] *= factor;
  }
}
// Keeps column < row (or <= row with `diagonal`) of a 16 x 16 block. A select: what is dropped may be huge.
__device__ __forceinline__ void mask_triangle(float (&d)[2][4], bool diagonal) {
#pragma unroll
  for (int n = 0; n < 2; ++n) {
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const int row = acc_row(e), column = acc_column(n, e);
      if (!(column < row || (diagonal && column == row))) d[n][e] = 0;
    }
  }
}

// ---- Preparation of a chunk
// --------------------------------------------------------------------------------------------------------------

__device__ __forceinline__ int own_token() { return static_cast<int>(threadIdx.x) / 8 * 2; }
__device__ __forceinline__ int own_channel() { return static_cast<int>(threadIdx.x) % 8 * 8; }

// This thread's part of one input, as it lies in memory: two numbers to a word.
template <class T>
struct Own {
  Pack<uint32_t, 4> token[2];

  __device__ __forceinline__ void load(const T* p, const ChunkRows& c) {
#pragma unroll
    for (int u = 0; u < 2; ++u) {
      const int t = own_token() + u;
      token[u] = {};
      if (t < c.n_tokens) token[u] = *reinterpret_cast<const Pack<uint32_t, 4>*>(p + c.first + t * c.stride + own_channel());
    }
  }
  __device__ __forceinline__ float at(int u, int i) const {
    const uint32_t word = token[u].x[i / 2];
    if constexpr (std::is_same_v<T, __nv_bfloat16>) {
      return __uint_as_float(i % 2 ? word & 0xffff0000u : word << 16);
    } else {
      return to_float(reinterpret_cast<const Pack<T, 2>*>(&word)->x[i % 2]);
    }
  }
  // Exponent of the largest magnitude. NaN is passed over: it stays NaN under any scale.
  __device__ __forceinline__ uint32_t largest() const {
    using Pair = std::conditional_t<std::is_same_v<T, __half>, __half2, __nv_bfloat162>;
    const auto pair = [&](int i) { return __habs2(*reinterpret_cast<const Pair*>(&token[i / 4].x[i % 4])); };
    Pair m = pair(0);
#pragma unroll
    for (int i = 1; i < 8; ++i) m = __hmax2(m, pair(i));
    return larger(magnitude(to_float(m.x)), magnitude(to_float(m.y)));
  }
};

// What the threads of a block tell each other on the way: filled before the first barrier, read after it.
template <int INPUTS>
struct Exchange {
  float log_decay[kWarps][kHead];  // summed over each warp's eight tokens
  uint32_t largest[INPUTS][kWarps];
};

template <int INPUTS>
__device__ __forceinline__ void publish_largest(Exchange<INPUTS>& x, int input, uint32_t own) {
  own = warp_largest(own);
  if (lane_index() == 0) x.largest[input][warp_index()] = own;
}
template <int INPUTS>
__device__ __forceinline__ uint32_t block_largest(const Exchange<INPUTS>& x, int input) {
  uint32_t m = 0;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) m = larger(m, x.largest[input][w]);
  return m;
}

// Where scaled inputs aim (power_scale), so that with factors within 2^+-14 every product of the phases stays inside fp16:
// |copies| < 2^15, |A-matrices| <= 256, |A-matrix * V| <= 2^10, |Z * that| <= 2^15.
inline constexpr int kAimR = 0, kAimK = 0, kAimB = 0, kAimA = -2, kAimV = -3, kAimDy = -3;

// NaN of NaN.
__device__ __forceinline__ float fast_sigmoid(float x) { return fast_reciprocal(1.0f + fast_exp2(-1.44269504f * x)); }
// log2 of a token's decay: -exp(-1/2) / ln 2 * sigmoid(w).
__device__ __forceinline__ float log2_decay(float w) { return -0.87503877f * fast_sigmoid(w); }

// log2 of the decay from the chunk's start, L, at this thread's tokens: L[0] before the first, L[1] after it, L[2] after the second.
struct ChunkDecay {
  float L[3][8];
  float middle[8], end[8];  // at the reference (after token 15) and after the last token

  // Before the barrier.
  template <class T, int INPUTS>
  __device__ __forceinline__ void start(const Own<T>& w, const ChunkRows& c, Exchange<INPUTS>& x) {
    const bool here[2] = {own_token() < c.n_tokens, own_token() + 1 < c.n_tokens};
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float first = here[0] ? log2_decay(w.at(0, i)) : 0.0f;
      const float second = here[1] ? log2_decay(w.at(1, i)) : 0.0f;
      const float both = first + second;
      float sum = both;
#pragma unroll
      for (int step = 8; step < 32; step *= 2) {
        const float earlier = __shfl_up_sync(kWholeWarp, sum, step);
        if (lane_index() >= step) sum += earlier;
      }
      if (lane_index() >= 24) x.log_decay[warp_index()][own_channel() + i] = sum;
      L[0][i] = sum - both;
      L[1][i] = L[0][i] + first;
      L[2][i] = sum;
    }
  }
  // After it.
  template <int INPUTS>
  __device__ __forceinline__ void finish(const Exchange<INPUTS>& x) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      float sum = 0, before = 0;
#pragma unroll
      for (int w = 0; w < kWarps; ++w) {
        if (w == warp_index()) before = sum;
        if (w == kWarps / 2) middle[i] = sum;
        sum += x.log_decay[w][own_channel() + i];
      }
      end[i] = sum;
#pragma unroll
      for (int m = 0; m < 3; ++m) L[m][i] += before;
    }
  }
};

// This thread's eight channels of token u into a tile, x(i) as a float.
template <class F>
__device__ __forceinline__ void write_own(__half* tile, int u, const F& x) {
  float v[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) v[i] = x(i);
  store(tile + Swizzled<kHead>::at(own_token() + u, own_channel()), v);
}

// Operands of a chunk in fp16, tiles Swizzled<64> of 32 rows; numbers times their input's scale are
//   R = r e^(L - M)   A = a e^(L- - M)   K = k e^(M - L)   B = b e^(M - L),   M = L at the reference, L- before the token.
struct Operands {
  __half *R, *A, *K, *B;  // K null: not wanted
};
struct InverseScales {
  float r, k, a, b;
};
template <class T>
__device__ __forceinline__ void write_operands(const Operands& o, const ChunkDecay& l, const InverseScales& inverse, const Own<T>& r,
                                               const Own<T>& k, const Own<T>& a, const Own<T>& b) {
  float into[3][8];  // e^(L - M)
#pragma unroll
  for (int i = 0; i < 8; ++i) {
#pragma unroll
    for (int m = 0; m < 3; ++m) into[m][i] = fast_exp2(l.L[m][i] - l.middle[i]);
  }
#pragma unroll
  for (int u = 0; u < 2; ++u) {
    float out_of[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) out_of[i] = fast_exp2(l.middle[i] - l.L[u + 1][i]);
    write_own(o.R, u, [&](int i) { return r.at(u, i) * inverse.r * into[u + 1][i]; });
    write_own(o.A, u, [&](int i) { return a.at(u, i) * inverse.a * into[u][i]; });
    if (o.K) write_own(o.K, u, [&](int i) { return k.at(u, i) * inverse.k * out_of[i]; });
    write_own(o.B, u, [&](int i) { return b.at(u, i) * inverse.b * out_of[i]; });
  }
}

}  // namespace rk::cuda::wkv7
