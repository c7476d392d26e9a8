// The inputs of one chunk's gradients as tiles in shared memory (chunked_backward_gradients.cu).
#pragma once
#include "kernels/wkv7/chunk_inverse.cuh"

namespace rk::cuda::wkv7 {

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

// Inputs -> tiles, by all threads. A barrier must follow.
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
  const auto largest_unit = [](const float(&x)[4]) {
    return larger(larger(magnitude(x[0]), magnitude(x[1])), larger(magnitude(x[2]), magnitude(x[3])));
  };
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
    for (int i = 0; i < 8; i += 4)
      *reinterpret_cast<float4*>(to + i) = float4{-l.middle[i], -l.middle[i + 1], -l.middle[i + 2], -l.middle[i + 3]};
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

}  // namespace rk::cuda::wkv7
