// The gradients of one chunk from its inputs, dy, S before it and G = dL/dS after it; every chunk by a block of its own.
// With copies R, A, K, B (chunk.cuh), S' = S e^M and G' = G e^(L_end - M) by key column, and Z = (I - AB)^-1:
//   X = AK V + A S'T   U = Z X   dU = RBT dY + B G'T   dX = ZT dU   dV = RKT dY + K G'T + AKT dX
//   dRK = tril(dY VT)  dRB = tril(dY UT)  dAK = stril(dX VT)  dAB = stril(dX UT)
//   DR = dY S' + dRK K + dRB B      dr = DR e^(L - M)      DK = V G' + dRKT R + dAKT A    dk = DK e^(M - L)
//   DA = dX S' + dAK K + dAB B      da = DA e^(L- - M)     DB = U G' + dRBT R + dABT A    db = DB e^(M - L)
// and for log d at token p, with DK = state part sK + inner part iK, DB likewise:
//   sum_i G S decay + sum_{t >= p} (R DR - K iK - B iB) + sum_{t > p} A DA + sum_{t < p} (K sK + B sB),
// every factor rounded as in the products, so that pairs of tokens on one side of p cancel to f32.
#include "kernels/wkv7/chunked_backward.h"
#include "kernels/wkv7/chunk_inverse.cuh"
#include "kernels/wkv7/chunk_maps.h"

namespace rk::cuda::wkv7 {
namespace {

template <class T>
struct Gradients {
  const T *r, *w, *k, *v, *a, *b, *dy;
  const T *dr_more, *dk_more, *dv_more;  // null where absent
  T *dr, *dw, *dk, *dv, *da, *db;
  States before, after;  // S, G
  Sequences s;
};

enum Unit { kUnitR, kUnitK, kUnitA, kUnitB, kUnitV, kUnitDy, kUnitS, kUnitG, kUnitX, kUnitDu, kUnitZ, kUnits };

struct GradientShared {
  __half R[kStrip], A[kStrip], K[kStrip], B[kStrip], V[kStrip], dY[kStrip];
  __half U[kStrip], dX[kStrip];  // first X and dU
  __half S[kSquare], G[kSquare];
  __half AK[kTokens * kTokens], RK[kTokens * kTokens], dRB[kTokens * kTokens], dAK[kTokens * kTokens];
  __half RB[kTokens * kTokens], Z[kTokens * kTokens];  // dRK, dAB take their places
  float L[(kTokens + 1) * kHead];                      // L - M in log2 before every token and after the last, then the gradient of log d
  uint16_t dv[kStrip];                                 // first room of the inverse
  Exchange<8> exchange;
  float unit[kUnits];
};
static_assert(sizeof(GradientShared::dv) >= kInverseFloats * sizeof(float) && sizeof(GradientShared) <= 75 * 1024, "three blocks on an SM");

// Factors by which products of tokens go into fp16: the largest they can be, in units of their factors, is 2^15.
inline constexpr float kLift = 128, kLiftOnce = 2, kLiftTwice = 1.0f / 32;  // with none, one, two of U and dX, which reach 2^7

// Row `row`, from -1 on, of L: f32, 8 bytes of every lane of an accumulator in different banks.
__device__ __forceinline__ int place_of_l(int row, int column) { return (row + 1) * kHead + (((column / 8) ^ (row & 7)) * 8) + column % 8; }

// ---- Inputs -> tiles, by all threads. A barrier must follow.
template <class T>
__device__ __forceinline__ void prepare(GradientShared& s, const Gradients<T>& g, const ChunkRows& rows, int64_t index) {
  Own<T> w, r, k, a, b, v, dy;
  w.load(g.w, rows);
  r.load(g.r, rows);
  k.load(g.k, rows);
  a.load(g.a, rows);
  b.load(g.b, rows);
  v.load(g.v, rows);
  dy.load(g.dy, rows);
  // Of S and G every thread takes rows first_row + 16 m of its eight channels; they wait in shared memory, where they will be scaled.
  const int first_row = static_cast<int>(threadIdx.x) / 64 * 8 + static_cast<int>(threadIdx.x) / 8 % 8;
  const int square = Swizzled<kHead>::at(first_row, own_channel());  // 16 rows on: 1024 numbers on
  float S_unit[4], G_unit[4];
#pragma unroll
  for (int m = 0; m < 4; ++m) {
    const int row = first_row + 16 * m, from = blocked(row, own_channel());
    copy_async_16(s.S + square + m * 1024, g.before.number + index * kSquare + from, true);
    copy_async_16(s.G + square + m * 1024, g.after.number + index * kSquare + from, true);
    S_unit[m] = g.before.row_scale[index * kHead + row];
    G_unit[m] = g.after.row_scale[index * kHead + row];
  }
  copy_async_commit();

  ChunkDecay l;
  l.start(w, rows, s.exchange);
  publish_largest(s.exchange, kUnitR, r.largest());
  publish_largest(s.exchange, kUnitK, k.largest());
  publish_largest(s.exchange, kUnitA, a.largest());
  publish_largest(s.exchange, kUnitB, b.largest());
  publish_largest(s.exchange, kUnitV, v.largest());
  publish_largest(s.exchange, kUnitDy, dy.largest());
  const auto largest_unit = [](const float(&x)[4]) { return larger(larger(magnitude(x[0]), magnitude(x[1])), larger(magnitude(x[2]), magnitude(x[3]))); };
  publish_largest(s.exchange, kUnitS, largest_unit(S_unit));
  publish_largest(s.exchange, kUnitG, largest_unit(G_unit));
  __syncthreads();

  l.finish(s.exchange);
  // Lanes 0 ... 7 find one unit each.
  const float own_unit = power_scale(block_largest(s.exchange, lane_index() % 8), 0);
  if (threadIdx.x < 8) s.unit[threadIdx.x] = own_unit;
  float inverse[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) inverse[i] = inverse_power(__shfl_sync(kWholeWarp, own_unit, i));
  write_operands({s.R, s.A, s.K, s.B}, l, {inverse[kUnitR], inverse[kUnitK], inverse[kUnitA], inverse[kUnitB]}, r, k, a, b);
#pragma unroll
  for (int u = 0; u < 2; ++u) {
    write_own(s.V, u, [&](int i) { return v.at(u, i) * inverse[kUnitV]; });
    write_own(s.dY, u, [&](int i) { return dy.at(u, i) * inverse[kUnitDy]; });
    float* to = s.L + place_of_l(own_token() + u, own_channel());
#pragma unroll
    for (int i = 0; i < 8; i += 4)
      *reinterpret_cast<float4*>(to + i) = float4{l.L[u + 1][i] - l.middle[i], l.L[u + 1][i + 1] - l.middle[i + 1],
                                                  l.L[u + 1][i + 2] - l.middle[i + 2], l.L[u + 1][i + 3] - l.middle[i + 3]};
  }
  if (own_token() == 0) {
    float* to = s.L + place_of_l(-1, own_channel());
#pragma unroll
    for (int i = 0; i < 8; i += 4) *reinterpret_cast<float4*>(to + i) = float4{-l.middle[i], -l.middle[i + 1], -l.middle[i + 2], -l.middle[i + 3]};
  }

  __half2 to_S[4], to_G[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    to_S[i] = __floats2half2_rn(fast_exp2(l.middle[2 * i]), fast_exp2(l.middle[2 * i + 1]));
    to_G[i] = __floats2half2_rn(fast_exp2(l.end[2 * i] - l.middle[2 * i]), fast_exp2(l.end[2 * i + 1] - l.middle[2 * i + 1]));
  }
  copy_async_wait<0>();
  const auto scale_piece = [](__half* piece, float by, const __half2(&column)[4]) {
    auto x = *reinterpret_cast<Pack<__half2, 4>*>(piece);
    const __half2 row = __float2half2_rn(by);
#pragma unroll
    for (int i = 0; i < 4; ++i) x.x[i] = __hmul2(__hmul2(x.x[i], row), column[i]);
    *reinterpret_cast<Pack<__half2, 4>*>(piece) = x;
  };
#pragma unroll
  for (int m = 0; m < 4; ++m) {
    scale_piece(s.S + square + m * 1024, S_unit[m] * inverse[kUnitS], to_S);
    scale_piece(s.G + square + m * 1024, G_unit[m] * inverse[kUnitG], to_G);
  }
}

// ---- tile = triangle * p * rescale + x stateT, scaled to numbers below 2; returns the power of two that was taken out.
__device__ __forceinline__ float inner_and_state(__half* tile, const Triangle& triangle, bool upper, const __half* p, const __half* x,
                                                 const __half* state, float rescale, const LanePlaces& at) {
  float d[4][2][2][4];  // [columns / 16][half][n]
  uint32_t b[4], c[4];
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    clear(d[j]);
    wide_b(b, p, at, 0, 16 * j);
    wide_b(c, p, at, 16, 16 * j);
    triangle.multiply_by(d[j][0], d[j][1], b, c, upper);
    scale_acc(d[j][0], rescale);
    scale_acc(d[j][1], rescale);
  }
#pragma unroll 1
  for (int k = 0; k < 4; ++k) {
    uint32_t a[2][4];
    wide(a[0], x, at, 0, 16 * k);
    wide(a[1], x, at, 16, 16 * k);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      wide_b_transposed(b, state, at, 16 * j, 16 * k);
      multiply(d[j][0][0], d[j][0][1], a[0], b);
      multiply(d[j][1][0], d[j][1][1], a[1], b);
    }
  }
  uint32_t largest = 0;
#pragma unroll
  for (int j = 0; j < 4; ++j) largest = larger(largest, larger(largest_of(d[j][0]), largest_of(d[j][1])));
  const float unit = power_scale(warp_largest(largest), 0), inverse = inverse_power(unit);
#pragma unroll
  for (int j = 0; j < 4; ++j)
#pragma unroll
    for (int m = 0; m < 2; ++m)
#pragma unroll
      for (int n = 0; n < 2; ++n)
#pragma unroll
        for (int half = 0; half < 2; ++half)
          *reinterpret_cast<uint32_t*>(bytes(tile) + pair_place(at, m, half, 2 * j + n)) =
              pack_half2(d[j][m][n][2 * half] * inverse, d[j][m][n][2 * half + 1] * inverse);
  return unit;
}

// Half a tile, 32 columns, becomes triangle times it; only this warp uses these columns.
__device__ __forceinline__ void triangle_times(const Triangle& triangle, bool upper, __half* tile, int column, const LanePlaces& at) {
  float d[2][2][2][4];
#pragma unroll
  for (int j = 0; j < 2; ++j) {
    uint32_t b[4], c[4];
    clear(d[j]);
    wide_b(b, tile, at, 0, column + 16 * j);
    wide_b(c, tile, at, 16, column + 16 * j);
    triangle.multiply_by(d[j][0], d[j][1], b, c, upper);
  }
  __syncwarp();
#pragma unroll
  for (int j = 0; j < 2; ++j)
#pragma unroll
    for (int m = 0; m < 2; ++m)
#pragma unroll
      for (int n = 0; n < 2; ++n)
#pragma unroll
        for (int half = 0; half < 2; ++half)
          *reinterpret_cast<uint32_t*>(bytes(tile) + pair_place(at, m, half, column / 8 + 2 * j + n)) =
              pack_half2(d[j][m][n][2 * half], d[j][m][n][2 * half + 1]);
}

// ---- One warp's 16 channels of the results.
using Slice = float[2][2][4];

// Calls f(m, n, half) for every pair of this lane.
template <class F>
__device__ __forceinline__ void for_pairs(const F& f) {
#pragma unroll
  for (int m = 0; m < 2; ++m)
#pragma unroll
    for (int n = 0; n < 2; ++n)
#pragma unroll
      for (int half = 0; half < 2; ++half) f(m, n, half);
}
// sum = sum * keep + x * factor.
__device__ __forceinline__ void add(Slice& sum, float keep, const Slice& x, float factor) {
#pragma unroll
  for (int m = 0; m < 2; ++m)
#pragma unroll
    for (int n = 0; n < 2; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) sum[m][n][i] = sum[m][n][i] * keep + x[m][n][i] * factor;
}
// d = x * (the columns of S or G in b).
__device__ __forceinline__ void times_state(Slice& d, const __half* x, const uint32_t (&b)[4][4], const LanePlaces& at) {
  clear(d);
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    uint32_t a[4];
    wide(a, x, at, 0, 16 * k);
    multiply(d[0][0], d[0][1], a, b[k]);
    wide(a, x, at, 16, 16 * k);
    multiply(d[1][0], d[1][1], a, b[k]);
  }
}
// d = triangle (upper: its transpose) * (the columns of a tile).
template <bool UPPER>
__device__ __forceinline__ void times_tokens(Slice& d, const __half* triangle, const __half* tile, int column, const LanePlaces& at) {
  Triangle t;
  uint32_t b[4], c[4];
  clear(d);
  t.load(triangle, at, UPPER);
  wide_b(b, tile, at, 0, column);
  wide_b(c, tile, at, 16, column);
  t.multiply_by(d[0], d[1], b, c, UPPER);
}

// More of a gradient, fetched early; zero where absent.
template <class T>
struct More {
  uint32_t pair[2][2][2];
  __device__ __forceinline__ void load(const T* p, const ChunkRows& rows, int column) {
    const bool present = p != nullptr;
    p += present ? rows.first + pair_row(0, 0) * rows.stride + column + acc_column(0, 0) : 0;
    for_pairs([&](int m, int n, int half) {
      pair[m][n][half] = 0;
      if (present && pair_row(m, half) < rows.n_tokens)
        pair[m][n][half] = *reinterpret_cast<const uint32_t*>(p + (16 * m + 8 * half) * rows.stride + 8 * n);
    });
  }
  __device__ __forceinline__ float2 at(int m, int n, int half) const {
    const Pack<T, 2> p = *reinterpret_cast<const Pack<T, 2>*>(&pair[m][n][half]);
    return {to_float(p.x[0]), to_float(p.x[1])};
  }
};
template <class T>
__device__ __forceinline__ void put_pair(char* to, float x, float y) {
  float v[2] = {x, y};
  store(reinterpret_cast<T*>(to), v);
}
__device__ __forceinline__ float2 pair_at(const char* from) {
  const Pack<__half, 2> p = *reinterpret_cast<const Pack<__half, 2>*>(from);
  return {to_float(p.x[0]), to_float(p.x[1])};
}

// dV = RKT dY + K G'T + AKT dX.
template <class T>
__device__ __forceinline__ void slice_of_dv(GradientShared& s, const Gradients<T>& g, const ChunkRows& rows, const LanePlaces& at) {
  const int column = 16 * warp_index();
  More<T> more;
  more.load(g.dv_more, rows, column);
  Slice sum, part;
  clear(sum);
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    uint32_t a[4], b[4];
    wide_b_transposed(b, s.G, at, column, 16 * k);
    wide(a, s.K, at, 0, 16 * k);
    multiply(sum[0][0], sum[0][1], a, b);
    wide(a, s.K, at, 16, 16 * k);
    multiply(sum[1][0], sum[1][1], a, b);
  }
  const float unit_K = s.unit[kUnitK], unit_dX = s.unit[kUnitZ] * s.unit[kUnitDu];
  times_tokens<true>(part, s.RK, s.dY, column, at);
  add(sum, unit_K * s.unit[kUnitG], part, unit_K * s.unit[kUnitR] * s.unit[kUnitDy] / kLift);
  times_tokens<true>(part, s.AK, s.dX, column, at);
  add(sum, 1, part, unit_K * s.unit[kUnitA] * unit_dX / kLift);
  for_pairs([&](int m, int n, int half) {
    const float2 z = more.at(m, n, half);
    put_pair<T>(bytes(s.dv) + pair_place(at, m, half, column / 8 + n), sum[m][n][2 * half] + z.x, sum[m][n][2 * half + 1] + z.y);
  });
}

// x[t] = sum over t' >= t, by column.
__device__ __forceinline__ void sums_to_end(Slice& x) {
  const int lane = lane_index();
#pragma unroll
  for (int n = 0; n < 2; ++n)
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      float behind = 0;
#pragma unroll
      for (int q = 3; q >= 0; --q) {
        float& y = x[q / 2][n][q % 2 * 2 + e];
#pragma unroll
        for (int step = 4; step < 32; step *= 2) {
          const float next = __shfl_down_sync(kWholeWarp, y, step);
          if (lane + step < 32) y += next;
        }
        const float all = __shfl_sync(kWholeWarp, y, lane % 4);
        y += behind;
        behind += all;
      }
    }
}

// dr, da into the place of S (rows 0 ..., 32 ...), dk, db into those of K and B, the gradient of log d into that of L.
template <class T>
__device__ __forceinline__ void slice_of_gradients(GradientShared& s, const Gradients<T>& g, const ChunkRows& rows, const LanePlaces& at) {
  const int column = 16 * warp_index(), piece = 2 * warp_index(), q = lane_index() % 4, row = lane_index() / 4;
  const float unit_U = s.unit[kUnitZ] * s.unit[kUnitX], unit_dX = s.unit[kUnitZ] * s.unit[kUnitDu];
  const float unit_V = s.unit[kUnitV], unit_dY = s.unit[kUnitDy];
  const float unit_dRK = unit_dY * unit_V / kLift, unit_dRB = unit_dY * unit_U / kLiftOnce;
  const float unit_dAK = unit_dX * unit_V / kLiftOnce, unit_dAB = unit_dX * unit_U / kLiftTwice;
  const __half *dRK = s.RB, *dAB = s.Z;
  char* L = bytes(s.L) + kHead * sizeof(float);

  uint32_t S[4][4], G[4][4];
  float gs[2][4] = {};  // products of columns of G with columns of S: the diagonal is wanted
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    wide_b(S[k], s.S, at, 16 * k, column);
    wide_b(G[k], s.G, at, 16 * k, column);
    const uint32_t a[4] = {G[k][0], G[k][2], G[k][1], G[k][3]};
    multiply(gs[0], gs[1], a, S[k]);
  }
  float constant[2][2];  // what every token of a column gets
#pragma unroll
  for (int n = 0; n < 2; ++n)
#pragma unroll
    for (int e = 0; e < 2; ++e) constant[n][e] = __shfl_sync(kWholeWarp, gs[n][2 * n + e], 9 * q + 4 * e) * (s.unit[kUnitS] * s.unit[kUnitG]);
  __syncwarp();

  Slice x;  // what is summed to the end: R DR + A DA - K DK - B DB
  Slice y, part;
  clear(x);
#pragma unroll 1
  for (int of_a = 0; of_a < 2; ++of_a) {
    const float unit = of_a ? unit_dX : unit_dY, unit_copy = s.unit[of_a ? kUnitA : kUnitR];
    More<T> more;
    more.load(of_a ? nullptr : g.dr_more, rows, column);
    times_state(y, of_a ? s.dX : s.dY, S, at);
    times_tokens<false>(part, of_a ? s.dAK : dRK, s.K, column, at);
    add(y, unit * s.unit[kUnitS], part, (of_a ? unit_dAK : unit_dRK) * s.unit[kUnitK]);
    times_tokens<false>(part, of_a ? dAB : s.dRB, s.B, column, at);
    add(y, 1, part, (of_a ? unit_dAB : unit_dRB) * s.unit[kUnitB]);
    // A's decay is that before its token.
    const int before = (row - 1) * 256 + ((row - 1) & 7) * 32 + q * 8, L_place = of_a ? before : 2 * at.acc;
    const char* copy = bytes(of_a ? s.A : s.R);
    char* room = bytes(s.S) + of_a * kTokens * 128;
    for_pairs([&](int m, int n, int half) {
      const int place = pair_place(at, m, half, piece + n);
      const float2 c = pair_at(copy + place), z = more.at(m, n, half);
      const float2 l = *reinterpret_cast<const float2*>(L + (L_place ^ ((piece + n) * 32)) + (16 * m + 8 * half) * 256);
      float* to = &y[m][n][2 * half];
      put_pair<T>(room + place, to[0] * fast_exp2(l.x) + z.x, to[1] * fast_exp2(l.y) + z.y);
      to[0] *= c.x * unit_copy;
      to[1] *= c.y * unit_copy;
      x[m][n][2 * half] += to[0];
      x[m][n][2 * half + 1] += to[1];
    });
  }

  float before[2][2] = {};  // this lane's part of all K sK + B sB, by column
#pragma unroll 1
  for (int of_b = 0; of_b < 2; ++of_b) {
    const float unit_state = (of_b ? unit_U : unit_V) * s.unit[kUnitG], unit_copy = s.unit[of_b ? kUnitB : kUnitK];
    More<T> more;
    more.load(of_b ? nullptr : g.dk_more, rows, column);
    Slice state, inner;
    times_tokens<true>(inner, of_b ? s.dRB : dRK, s.R, column, at);
    times_tokens<true>(part, of_b ? dAB : s.dAK, s.A, column, at);
    add(inner, (of_b ? unit_dRB : unit_dRK) * s.unit[kUnitR], part, (of_b ? unit_dAB : unit_dAK) * s.unit[kUnitA]);
    times_state(state, of_b ? s.U : s.V, G, at);
    char* copy = bytes(of_b ? s.B : s.K);
    for_pairs([&](int m, int n, int half) {
      const int place = pair_place(at, m, half, piece + n);
      const float2 c = pair_at(copy + place), z = more.at(m, n, half);
      const float2 l = *reinterpret_cast<const float2*>(L + 2 * place);
      const float from_state[2] = {state[m][n][2 * half] * unit_state, state[m][n][2 * half + 1] * unit_state};
      const float all[2] = {from_state[0] + inner[m][n][2 * half], from_state[1] + inner[m][n][2 * half + 1]};
      const float factor[2] = {c.x * unit_copy, c.y * unit_copy};
      put_pair<T>(copy + place, all[0] * fast_exp2(-l.x) + z.x, all[1] * fast_exp2(-l.y) + z.y);
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        before[n][e] += factor[e] * from_state[e];
        x[m][n][2 * half + e] -= factor[e] * all[e];
      }
    });
  }
#pragma unroll
  for (int n = 0; n < 2; ++n)
#pragma unroll
    for (int e = 0; e < 2; ++e) {
#pragma unroll
      for (int step = 4; step < 32; step *= 2) before[n][e] += __shfl_xor_sync(kWholeWarp, before[n][e], step);
      constant[n][e] += before[n][e];
    }

  // y still holds A DA, which counts for earlier tokens only.
  sums_to_end(x);
  __syncwarp();
  for_pairs([&](int m, int n, int half) {
    const float2 sum{constant[n][0] + (x[m][n][2 * half] - y[m][n][2 * half]), constant[n][1] + (x[m][n][2 * half + 1] - y[m][n][2 * half + 1])};
    *reinterpret_cast<float2*>(L + 2 * pair_place(at, m, half, piece + n)) = sum;
  });
}

// A tile of results into memory.
template <class T>
__device__ __forceinline__ void write_rows(T* to, const ChunkRows& rows, const void* tile) {
#pragma unroll
  for (int u = 0; u < 2; ++u) {
    const int t = own_token() + u;
    if (t < rows.n_tokens)
      *reinterpret_cast<uint4*>(to + rows.first + t * rows.stride + own_channel()) =
          *reinterpret_cast<const uint4*>(static_cast<const T*>(tile) + Swizzled<kHead>::at(t, own_channel()));
  }
}

// Moves, per chunk and head, 7 strips of 4 KiB (8, 9, 10 with what is added) and S and G of 8 KiB in, 6 strips out.
template <class T>
__global__ void __launch_bounds__(kThreads, 3) gradients_kernel(const Gradients<T> g) {
  GradientShared& s = *shared_memory<GradientShared>();
  // Heads of one chunk are neighbours in memory and in the grid.
  const int64_t id = blockIdx.x;
  const int64_t h = id % g.s.H, chunk = id / g.s.H % g.s.n_chunks, head = id / g.s.H / g.s.n_chunks * g.s.H + h;
  const ChunkRows rows = chunk_rows(g.s, head, static_cast<int>(chunk));
  const int warp = __shfl_sync(kWholeWarp, warp_index(), 0);
  prepare(s, g, rows, head * g.s.n_chunks + chunk);
  __syncthreads();

  const LanePlaces at;
  TokenProduct t;
  Triangle triangle;
  t.make(warp < 2 ? s.A : s.R, warp % 2 == 0 ? s.B : s.K, at, warp < 2 ? 0 : 1);
  if (warp == 0) {
    const float unit = invert(s.Z, reinterpret_cast<float*>(s.dv), t, s.unit[kUnitA] * s.unit[kUnitB]);
    if (lane_index() == 0) s.unit[kUnitZ] = unit;
  } else {
    __half* tile = warp == 1 ? s.AK : warp == 2 ? s.RB : s.RK;
    t.store(tile, at, kLift);
    __syncwarp();
    if (warp < 3) {
      const bool upper = warp == 2;
      const float unit_state = s.unit[upper ? kUnitG : kUnitS], unit_x = s.unit[upper ? kUnitB : kUnitA];
      const float rescale = s.unit[upper ? kUnitR : kUnitK] * s.unit[upper ? kUnitDy : kUnitV] * inverse_power(unit_state) / kLift;
      triangle.load(tile, at, upper);
      const float unit = inner_and_state(upper ? s.dX : s.U, triangle, upper, upper ? s.dY : s.V, upper ? s.B : s.A, upper ? s.G : s.S, rescale, at);
      if (lane_index() == 0) s.unit[upper ? kUnitDu : kUnitX] = unit * unit_x * unit_state;
    }
  }
  __syncthreads();

  triangle.load(s.Z, at, warp >= 2);
  triangle_times(triangle, warp >= 2, warp < 2 ? s.U : s.dX, 32 * (warp % 2), at);
  __syncthreads();

  // dRB, dAK, dAB, dRK.
  t.make(warp == 0 || warp == 3 ? s.dY : s.dX, warp == 0 || warp == 2 ? s.U : s.V, at, warp == 0 || warp == 3 ? 1 : 0);
  t.store(warp == 0 ? s.dRB : warp == 1 ? s.dAK : warp == 2 ? s.Z : s.RB, at, warp == 2 ? kLiftTwice : warp == 3 ? kLift : kLiftOnce);
  slice_of_dv(s, g, rows, at);
  __syncthreads();

  slice_of_gradients(s, g, rows, at);
  Own<T> w;
  w.load(g.w, rows);
  __syncthreads();

  write_rows(g.dr, rows, s.S);
  write_rows(g.da, rows, s.S + kStrip);
  write_rows(g.dk, rows, s.K);
  write_rows(g.db, rows, s.B);
  write_rows(g.dv, rows, s.dv);
#pragma unroll
  for (int u = 0; u < 2; ++u) {
    const int token = own_token() + u;
    if (token >= rows.n_tokens) continue;
    float y[8];
    load(s.L + place_of_l(token, own_channel()), reinterpret_cast<float(&)[4]>(y[0]));
    load(s.L + place_of_l(token, own_channel()) + 4, reinterpret_cast<float(&)[4]>(y[4]));
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      constexpr float lambda = 0.60653066f, log2_e = 1.44269504f;  // exp(-1/2), 1 / ln 2
      const float e = fast_exp2(-log2_e * fabsf(w.at(u, i))), f = fast_reciprocal(1 + e);
      y[i] *= -lambda * e * f * f;
    }
    store(g.dw + rows.first + token * rows.stride + own_channel(), y);
  }
}

}  // namespace

void gradients(const Exec& ex, const Wkv7Backward& a, const States& after) {
  const auto launch_for = [&]<class T>() {
    const Gradients<T> g{.r = a.r.as<T>(),
                         .w = a.w.as<T>(),
                         .k = a.k.as<T>(),
                         .v = a.v.as<T>(),
                         .a = a.a.as<T>(),
                         .b = a.b.as<T>(),
                         .dy = a.dy.as<T>(),
                         .dr_more = maybe<T>(a.dr_more),
                         .dk_more = maybe<T>(a.dk_more),
                         .dv_more = maybe<T>(a.dv_more),
                         .dr = a.dr.as<T>(),
                         .dw = a.dw.as<T>(),
                         .dk = a.dk.as<T>(),
                         .dv = a.dv.as<T>(),
                         .da = a.da.as<T>(),
                         .db = a.db.as<T>(),
                         .before = saved_states(a.saved_states.data, count_chunks(a.r.shape)),
                         .after = after,
                         .s = sequences(a.r.shape)};
    launch(ex, gradients_kernel<T>,
           {.grid = dim3(static_cast<unsigned>(count_chunks(a.r.shape))), .block = dim3(kThreads), .shared = sizeof(GradientShared)}, g);
  };
  if (a.r.dtype == DType::f16) return launch_for.operator()<__half>();
  launch_for.operator()<__nv_bfloat16>();
}

}  // namespace rk::cuda::wkv7
