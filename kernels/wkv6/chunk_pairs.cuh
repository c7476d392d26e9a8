// Pairs of a chunk's tokens: what values (v, or dy backward) give to each warp's tokens. Forward, rows are tokens t and sum over s <= t;
// BACKWARD, rows are tokens s and sum over t >= s: the same with r and k, S and G traded.
#pragma once
#include "kernels/wkv6/chunk.cuh"

namespace rk::cuda::wkv6 {

// Operands for pairs of the warp's own tokens with each other, into the tiles' rows of these tokens.
template <class T>
__device__ __forceinline__ void write_own_operands(Half* R, Half* K, const Own<T>& r, const Own<T>& k, const LogDecay& l) {
  float x = 0, y = 0;  // the reference: after half of the tokens
#pragma unroll
  for (int t = 0; t < kOwn / 2; ++t) x -= fmaxf(l.x[t], -kBound), y -= fmaxf(l.y[t], -kBound);
#pragma unroll
  for (int t = 0; t < kOwn; ++t) {
    float a, b;
    r.at(t, a, b);  // the first token has no earlier one
    write_pair(R, own_token(t), t > 0 ? a * fast_exp2(x) : 0.0f, t > 0 ? b * fast_exp2(y) : 0.0f);
    x += fmaxf(l.x[t], -kBound);
    y += fmaxf(l.y[t], -kBound);
    k.at(t, a, b);  // the last token has no later one
    const bool last = t == kOwn - 1;
    write_pair(K, own_token(t), last ? 0.0f : a * fast_exp2(-x), last ? 0.0f : b * fast_exp2(-y));
  }
}
// R_t and K_s of chunk.cuh; the warp's decays for the others.
template <class T>
__device__ __forceinline__ void write_operands(Half* R, Half* K, Totals& totals, const Own<T>& r, const Own<T>& k, const LogDecay& l) {
  float x = 0, y = 0, a, b;
#pragma unroll
  for (int t = 0; t < kOwn; ++t) {
    r.at(t, a, b);
    write_pair(R, own_token(t), a * fast_exp2(x), b * fast_exp2(y));
    x += l.x[t];
    y += l.y[t];
  }
  publish(totals, x, y);
  x = y = 0;
#pragma unroll
  for (int t = kOwn - 1; t >= 0; --t) {
    k.at(t, a, b);
    write_pair(K, own_token(t), a * fast_exp2(x), b * fast_exp2(y));
    x += l.x[t];
    y += l.y[t];
  }
}

// Lane l gets sum_j x_j y_j (factor_j) of token l / 2.
template <class T>
__device__ __forceinline__ float products_of_tokens(const Own<T>& x, const Own<T>& y, float factor0, float factor1) {
  float sums[kOwn];
#pragma unroll
  for (int t = 0; t < kOwn; ++t) {
    float a, b, c, d;
    x.at(t, a, b);
    y.at(t, c, d);
    sums[t] = a * factor0 * c + b * factor1 * d;
  }
  return sums_of_tokens(sums);
}

// Keeps pairs of tokens (row, column) that come in this order (BACKWARD: the other) and belong to one document.
template <bool BACKWARD>
__device__ __forceinline__ void keep_pairs(float (&d)[2][4], int row, int column, const Documents& documents) {
#pragma unroll
  for (int n = 0; n < 2; ++n) {
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const int x = row + acc_row(e), y = column + acc_column(n, e), s = BACKWARD ? x : y, t = BACKWARD ? y : x;
      if (!(s < t && (!documents.any() || documents.together(s, t)))) d[n][e] = 0;
    }
  }
}
// Keeps rows of tokens that the state before (BACKWARD: after) the chunk has to do with.
template <bool BACKWARD, int NT>
__device__ __forceinline__ void keep_rows(float (&d)[NT][4], const Documents& documents) {
  if (!documents.any()) return;
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    const int token = own_token(acc_row(e));
    const bool counts = BACKWARD ? documents.to_end(token) : documents.from_start(token);
#pragma unroll
    for (int n = 0; n < NT; ++n) d[n][e] = counts ? d[n][e] : 0.0f;
  }
}

// The matrix of pairs of the warp's own tokens, with the bonus (lane l: of token l / 2) on its diagonal; from write_own_operands().
template <bool BACKWARD>
__device__ __forceinline__ void own_pairs(float (&d)[2][4], const Half* R, const Half* K, float bonus, const Documents& documents) {
  const int row = own_token(0);
#pragma unroll
  for (int k = 0; k < kHead; k += 16)
    multiply_add<Tile, true, 2, 2>(d, operand<Tile, 2>(BACKWARD ? K : R, row, k), BACKWARD ? R : K, row, k);
  keep_pairs<BACKWARD>(d, row, row, documents);
  const float of_row[2] = {__shfl_sync(kWholeWarp, bonus, 2 * acc_row(0)), __shfl_sync(kWholeWarp, bonus, 2 * acc_row(2))};
#pragma unroll
  for (int n = 0; n < 2; ++n) {
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      if (acc_row(e) == acc_column(n, e)) d[n][e] = of_row[e / 2];
    }
  }
}

// out (16 tokens x 64 value channels) = pairs with all tokens times values, and own operand times state. pairs: own_pairs().
template <int VALUE_PARTS, bool BACKWARD>
__device__ __forceinline__ void gather_values(float (&out)[8][4], const float (&pairs)[2][4], const Half* own, const Half* other,
                                              const Half* values, const Half* state, const Totals& totals, const Documents& documents) {
  const int warp = warp_index(), row = own_token(0);
  multiply_add<Tile, false, 2, VALUE_PARTS>(out, Operand(pairs[0], pairs[1]), values, row, 0);
  float x[kHead / 16][2][4];  // the own operand, as two accumulators to 16 channels, moved from warp to warp
#pragma unroll
  for (int k = 0; k < kHead / 16; ++k) {
    const Operand a = operand<Tile, 2>(own, row, k * 16);
#pragma unroll
    for (int q = 0; q < 4; ++q) join(a.high[q], a.low[q], x[k][q / 2][q % 2 * 2], x[k][q / 2][q % 2 * 2 + 1]);
  }
  const auto move = [&](const float* log2_factor) {
#pragma unroll
    for (int k = 0; k < kHead / 16; ++k) {
#pragma unroll
      for (int n = 0; n < 2; ++n) {
        const float a = fast_exp2(log2_factor[k * 16 + acc_column(n, 0)]), b = fast_exp2(log2_factor[k * 16 + acc_column(n, 1)]);
        x[k][n][0] *= a;
        x[k][n][1] *= b;
        x[k][n][2] *= a;
        x[k][n][3] *= b;
      }
    }
  };
#pragma unroll 1
  for (int w = BACKWARD ? warp + 1 : warp - 1; w >= 0 && w < kWarps; w += BACKWARD ? 1 : -1) {
    float d[2][4] = {};
#pragma unroll
    for (int k = 0; k < kHead / 16; ++k) multiply_add<Tile, true, 2, 2>(d, Operand(x[k][0], x[k][1]), other, w * kOwn, k * 16);
    keep_pairs<BACKWARD>(d, row, w * kOwn, documents);
    multiply_add<Tile, false, 2, VALUE_PARTS>(out, Operand(d[0], d[1]), values, w * kOwn, 0);
    move(totals[w]);
  }
#pragma unroll
  for (int k = 0; k < kHead / 16; ++k) {
    keep_rows<BACKWARD>(x[k], documents);
    multiply_add<Blocked, true, 2, 2>(out, Operand(x[k][0], x[k][1]), state, 0, k * 16);
  }
}

// z (16 tokens x 64 key channels) = what dy (BACKWARD: v) of own tokens and v (dy) of other warps' give by way of their K (R) and of the
// state, seen at the border of the own tokens: times the factor of R_t (K_s) it is dr (dk).
template <int VALUE_PARTS, bool BACKWARD>
__device__ __forceinline__ void gather_keys(float (&z)[8][4], const Half* own_values, const Half* values, const Half* other,
                                            const Half* state, const Totals& totals, const Documents& documents) {
  const int warp = warp_index(), row = own_token(0);
#pragma unroll
  for (int k = 0; k < kHead; k += 16)
    multiply_add<Blocked, false, VALUE_PARTS, 2>(z, operand<Tile, VALUE_PARTS>(own_values, row, k), state, k, 0);
  keep_rows<BACKWARD>(z, documents);
#pragma unroll 1
  for (int w = BACKWARD ? kWarps - 1 : 0; w != warp; w += BACKWARD ? -1 : 1) {
    scale_columns(z, totals[w]);
    float d[2][4] = {};
#pragma unroll
    for (int k = 0; k < kHead; k += 16)
      multiply_add<Tile, true, VALUE_PARTS, VALUE_PARTS>(d, operand<Tile, VALUE_PARTS>(own_values, row, k), values, w * kOwn, k);
    keep_pairs<BACKWARD>(d, row, w * kOwn, documents);
    multiply_add<Tile, false, 2, 2>(z, Operand(d[0], d[1]), other, w * kOwn, 0);
  }
}
// The same of the own tokens, by way of write_own_operands().
template <int VALUE_PARTS, bool BACKWARD>
__device__ __forceinline__ void gather_own_keys(float (&z)[8][4], const Half* own_values, const Half* values, const Half* other,
                                                const Documents& documents) {
  const int row = own_token(0);
  float d[2][4] = {};
#pragma unroll
  for (int k = 0; k < kHead; k += 16)
    multiply_add<Tile, true, VALUE_PARTS, VALUE_PARTS>(d, operand<Tile, VALUE_PARTS>(own_values, row, k), values, row, k);
  keep_pairs<BACKWARD>(d, row, row, documents);
  multiply_add<Tile, false, 2, 2>(z, Operand(d[0], d[1]), other, row, 0);
}

// Accumulators of the own tokens into a sequence, by way of the tile's own rows, which nobody else may be reading, so that whole lines are
// written.
template <class T>
__device__ __forceinline__ void write_rows(T* to, const float (&d)[8][4], Half* tile, const Place& c) {
  __syncwarp();
  auto* rows = reinterpret_cast<T*>(tile);
  const int row = own_token(0);
#pragma unroll
  for (int n = 0; n < 8; ++n) {
#pragma unroll
    for (int e = 0; e < 4; e += 2) *acc_pair<Tile>(rows, row, 0, n, e) = pack(d[n][e], d[n][e + 1], static_cast<const T*>(nullptr));
  }
  __syncwarp();
#pragma unroll
  for (int i = 0; i < kOwn / 4; ++i) {
    const int token = row + i * 4 + lane_index() / 8, j = lane_index() % 8 * 8;
    if (token < c.n_tokens)
      *reinterpret_cast<uint4*>(to + c.first + token * c.stride + j) = *reinterpret_cast<const uint4*>(rows + Tile::at(token, j));
  }
}

}  // namespace rk::cuda::wkv6
