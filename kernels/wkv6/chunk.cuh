// Building blocks of the chunked WKV-6 phases: a block of 128 threads works on one chunk of 64 tokens of one head. A warp owns 16 of the
// tokens; while operands are prepared, a lane owns two neighbouring channels of them.
//
// With L_t the log2 of the decays up to and with token t and P_a that at the end of the tokens of warp a - 1, numbers that meet in a sum
// are
//   R_t = r_t 2^(L_(t-1) - P_a),   K_s = k_s 2^(P_(b+1) - L_s)   (warps a, b of t, s),
// both with factors of at most 1, and between them the decays of the warps between b and a, of at most 1, too: nothing is divided by a
// decay. Only pairs of one warp's tokens have a reference between them, so that one factor may be large: their log2 decays are bounded by
// -kBound a token, which leaves exponents inside f32's and bf16's range and changes products by less than 2^-kBound of them.
#pragma once
#include "kernels/common/fast_math.cuh"
#include "kernels/common/numbers.cuh"
#include "kernels/common/reduce.cuh"
#include "kernels/common/resets.h"
#include "kernels/common/tiles.cuh"
#include "kernels/wkv6/chunked_cuda.h"

namespace rk::cuda::wkv6 {

inline constexpr int kWarps = 4, kThreads = 32 * kWarps, kOwn = 16;  // kOwn: tokens of a warp
inline constexpr float kBound = 15.0f;
using Half = __nv_bfloat16;            // of operands: numbers are pairs of them
using Tile = Swizzled<kHead>;          // of tokens, in shared memory
inline constexpr int kPair = kSquare;  // the low parts of a tile or state stand behind its high ones

// How many bf16 numbers hold one of the model's.
template <class T>
inline constexpr int kParts = std::is_same_v<T, __half> ? 2 : 1;

// ---- Where tensors lie

// Sequences [B,T,H,64]; w may be the same for all tokens.
struct Sequences {
  int64_t T;
  int H, n_chunks;
  bool shared_w;
  const uint8_t* resets;  // [B,T], null: none
};
inline Sequences sequences(const Shape& s, const Tensor& w, const Tensor& resets) {
  return {s[1], static_cast<int>(s[2]), static_cast<int>(n_chunks(s[1])), w.shape.rank == 2, reset_flags(resets)};
}
// A head's chunk: one block.
struct Place {
  int64_t head, index;     // of the batch and its heads; of all their chunks
  int64_t first, stride;   // the first token's first element; elements between tokens
  int chunk, n_tokens, h;  // missing tokens count as zeros with decay 1; h: head of the row
  __device__ __forceinline__ explicit Place(const Sequences& s) {
    // Blocks that run at once read neighbouring heads of the same tokens: whole rows.
    const auto block = static_cast<int>(blockIdx.x);
    h = block % s.H;
    chunk = block / s.H % s.n_chunks;
    head = static_cast<int64_t>(block / s.H / s.n_chunks) * s.H + h;
    stride = static_cast<int64_t>(s.H) * kHead;
    const int64_t t = static_cast<int64_t>(chunk) * kTokens, rest = s.T - t;
    index = head * s.n_chunks + chunk;
    first = (head / s.H * s.T + t) * stride + h * kHead;
    n_tokens = rest < kTokens ? static_cast<int>(rest) : kTokens;
  }
  // Of the states, of which a head has one more than chunks.
  __device__ __forceinline__ int64_t state(const Sequences& s) const { return (head * (s.n_chunks + 1) + chunk) * state_numbers(1); }
};

// ---- Numbers as pairs

__device__ __forceinline__ void split(float x, float y, uint32_t& high, uint32_t& low) {
  high = pack(x, y, static_cast<const Half*>(nullptr));
  float hx, hy;
  unpack(high, hx, hy, static_cast<const Half*>(nullptr));
  low = pack(x - hx, y - hy, static_cast<const Half*>(nullptr));
}
__device__ __forceinline__ void join(uint32_t high, uint32_t low, float& x, float& y) {
  float lx, ly;
  unpack(high, x, y, static_cast<const Half*>(nullptr));
  unpack(low, lx, ly, static_cast<const Half*>(nullptr));
  x += lx;
  y += ly;
}

// An A operand of 16 x 16.
struct Operand {
  uint32_t high[4], low[4];
  __device__ __forceinline__ Operand() {}
  // Two neighbouring accumulators.
  __device__ __forceinline__ Operand(const float (&left)[4], const float (&right)[4]) {
    split(left[0], left[1], high[0], low[0]);
    split(left[2], left[3], high[1], low[1]);
    split(right[0], right[1], high[2], low[2]);
    split(right[2], right[3], high[3], low[3]);
  }
};
template <class L, int PARTS>
__device__ __forceinline__ Operand operand(const Half* tile, int row, int column) {
  Operand a;
  a_of<L>(a.high, tile, row, column);
  if (PARTS == 2) a_of<L>(a.low, tile + kPair, row, column);
  return a;
}
template <class L, int PARTS>
__device__ __forceinline__ Operand operand_of_transpose(const Half* tile, int row, int column) {
  Operand a;
  a_of_transpose<L>(a.high, tile, row, column);
  if (PARTS == 2) a_of_transpose<L>(a.low, tile + kPair, row, column);
  return a;
}

// d (16 x 8 NT) += A B with B[k][n] = tile[row + k][column + n], or with TRANSPOSE tile[row + n][column + k]. Parts of A and of B; the
// product of both low parts is below what is kept.
template <class L, bool TRANSPOSE, int A_PARTS, int B_PARTS, int NT>
__device__ __forceinline__ void multiply_add(float (&d)[NT][4], const Operand& a, const Half* tile, int row, int column) {
#pragma unroll
  for (int n = 0; n < NT; n += 2) {
    uint32_t b[2][2];
    const auto load = [&](const Half* part) {
      if constexpr (TRANSPOSE) {
        b_of_transpose<L>(b, part, row + n * 8, column);
      } else {
        b_of<L>(b, part, row, column + n * 8);
      }
    };
    load(tile);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      mma(d[n + half], a.high, b[half], static_cast<const Half*>(nullptr));
      if (A_PARTS == 2) mma(d[n + half], a.low, b[half], static_cast<const Half*>(nullptr));
    }
    if (B_PARTS == 2) {
      load(tile + kPair);
#pragma unroll
      for (int half = 0; half < 2; ++half) mma(d[n + half], a.high, b[half], static_cast<const Half*>(nullptr));
    }
  }
}

// Accumulators of rows row ... row + 15 as pairs into a state in memory.
__device__ __forceinline__ void store_state(Half* state, int row, const float (&d)[8][4]) {
#pragma unroll
  for (int n = 0; n < 8; ++n) {
#pragma unroll
    for (int e = 0; e < 4; e += 2) {
      uint32_t high, low;
      split(d[n][e], d[n][e + 1], high, low);
      *acc_pair<Blocked>(state, row, 0, n, e) = high;
      *acc_pair<Blocked>(state + kPair, row, 0, n, e) = low;
    }
  }
}

// ---- A lane's part of the inputs: two channels of the warp's 16 tokens

__device__ __forceinline__ int own_channel() { return 2 * lane_index(); }
__device__ __forceinline__ int own_token(int t) { return warp_index() * kOwn + t; }

template <class T>
struct Own {
  uint32_t pair[kOwn];
  __device__ __forceinline__ void load(const T* p, const Place& c) {
    const T* from = p + c.first + own_token(0) * c.stride + own_channel();
#pragma unroll
    for (int t = 0; t < kOwn; ++t) pair[t] = own_token(t) < c.n_tokens ? *reinterpret_cast<const uint32_t*>(from + t * c.stride) : 0u;
  }
  __device__ __forceinline__ void at(int t, float& x, float& y) const { unpack(pair[t], x, y, static_cast<const T*>(nullptr)); }
};

// Two neighbours into row `token` of a tile, in PARTS parts.
template <int PARTS = 2>
__device__ __forceinline__ void write_pair(Half* tile, int token, float x, float y) {
  uint32_t high, low;
  split(x, y, high, low);
  auto* to = reinterpret_cast<uint32_t*>(tile + Tile::at(token, own_channel()));
  *to = high;
  if (PARTS == 2) *(to + kPair / 2) = low;
}
template <class T>
__device__ __forceinline__ void write_raw(Half* tile, const Own<T>& own) {
#pragma unroll
  for (int t = 0; t < kOwn; ++t) {
    float x, y;
    own.at(t, x, y);
    write_pair<kParts<T>>(tile, own_token(t), x, y);
  }
}

// log2 of the decay: -exp(w) / ln 2. Below -160 a decay is nothing, and sums of the logarithms stay small enough to keep their digits.
__device__ __forceinline__ float log2_decay(float w) {
  const float rate = fast_exp2(w * 1.44269504f + 0.52876637f);
  return rate > 160.0f ? -160.0f : -rate;
}
struct LogDecay {
  float x[kOwn], y[kOwn];  // of the two channels
  template <class T>
  __device__ __forceinline__ void load(const T* w, const Place& c, bool shared_w) {
    float a = 0, b = 0;
    if (shared_w) {
      unpack(*reinterpret_cast<const uint32_t*>(w + c.h * kHead + own_channel()), a, b, static_cast<const T*>(nullptr));
      a = log2_decay(a);
      b = log2_decay(b);
#pragma unroll
      for (int t = 0; t < kOwn; ++t) {
        const bool here = own_token(t) < c.n_tokens;
        x[t] = here ? a : 0.0f;
        y[t] = here ? b : 0.0f;
      }
      return;
    }
    Own<T> own;
    own.load(w, c);
#pragma unroll
    for (int t = 0; t < kOwn; ++t) {
      const bool here = own_token(t) < c.n_tokens;
      own.at(t, a, b);
      x[t] = here ? log2_decay(a) : 0.0f;
      y[t] = here ? log2_decay(b) : 0.0f;
    }
  }
};

using Totals = float[kWarps][kHead];
// The sums over the warp's tokens, for the other warps.
__device__ __forceinline__ void publish(Totals& totals, float x, float y) {
  totals[warp_index()][own_channel()] = x;
  totals[warp_index()][own_channel() + 1] = y;
}
// Sums of warps `first` ... `last` - 1.
__device__ __forceinline__ float total(const Totals& totals, int first, int last, int channel) {
  float sum = 0;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) sum += w >= first && w < last ? totals[w][channel] : 0.0f;
  return sum;
}

// Sums over channels of a number per token: lane l gets that of token l / 2.
__device__ __forceinline__ float sums_of_tokens(float (&x)[kOwn]) {
#pragma unroll
  for (int level = 0; level < 4; ++level) {
    const int n = kOwn / 2 >> level, step = 16 >> level;
    const bool upper = lane_index() & step;
#pragma unroll
    for (int i = 0; i < kOwn / 2; ++i) {
      if (i >= n) continue;
      const float other = __shfl_xor_sync(kWholeWarp, upper ? x[i] : x[i + n], step);
      x[i] = (upper ? x[i + n] : x[i]) + other;
    }
  }
  return x[0] + __shfl_xor_sync(kWholeWarp, x[0], 1);
}

// Documents inside a chunk: bit t of `begins`: one begins at token t.
struct Documents {
  uint64_t begins = 0;
  __device__ __forceinline__ Documents(const Sequences& s, const Place& c) {
    if (!s.resets) return;
    const uint8_t* flags = s.resets + c.head / s.H * s.T + static_cast<int64_t>(c.chunk) * kTokens;
    const int l = lane_index();
    const uint32_t low = __ballot_sync(kWholeWarp, l < c.n_tokens && flags[l] != 0);
    const uint32_t high = __ballot_sync(kWholeWarp, l + 32 < c.n_tokens && flags[l + 32] != 0);
    begins = static_cast<uint64_t>(high) << 32 | low;
  }
  __device__ __forceinline__ bool any() const { return begins != 0; }
  __device__ __forceinline__ static int last_of(uint64_t x) {
    const auto high = static_cast<int>(x >> 32);
    return high ? 63 - __clz(high) : 31 - __clz(static_cast<int>(x));
  }
  // Whether the state before the chunk reaches a token, and a token the state after it.
  __device__ __forceinline__ bool from_start(int token) const { return ((begins & (0 - begins)) - 1) >> token & 1; }
  __device__ __forceinline__ bool to_end(int token) const { return token >= last_of(begins); }
  // Whether tokens s <= t belong together.
  __device__ __forceinline__ bool together(int s, int t) const { return s >= last_of(begins & ((uint64_t{2} << t) - 1)); }
};

// Decays of a warp's tokens in accumulator columns, and what is scaled by them.
__device__ __forceinline__ void scale_columns(float (&d)[8][4], const float* log2_factor) {
#pragma unroll
  for (int n = 0; n < 8; ++n) {
    const float a = fast_exp2(log2_factor[acc_column(n, 0)]), b = fast_exp2(log2_factor[acc_column(n, 1)]);
    d[n][0] *= a;
    d[n][1] *= b;
    d[n][2] *= a;
    d[n][3] *= b;
  }
}

// Places of x into shared memory by way of no registers: a state's two parts.
__device__ __forceinline__ void fetch_state(Half* to, const Half* from) {
#pragma unroll
  for (int i = 0; i < 2 * kSquare / 8 / kThreads; ++i) {
    const int at = (static_cast<int>(threadIdx.x) + i * kThreads) * 8;
    copy_async_16(to + at, from + at, true);
  }
}

}  // namespace rk::cuda::wkv6
