// The end of one chunk's gradients: every warp makes 16 channels of the results (chunked_backward_gradients.cu).
#pragma once
#include "kernels/wkv7/chunk_documents.cuh"
#include "kernels/wkv7/gradient_tiles.cuh"

namespace rk::cuda::wkv7 {

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
// Keeps the rows of `tokens`.
__device__ __forceinline__ void keep_rows(Slice& d, uint32_t tokens) {
  keep_rows(d[0], tokens, 0);
  keep_rows(d[1], tokens, 16);
}
// The 16 columns of a tile of tokens as B operand: tokens 0 ... 15, 16 ... 31.
struct TokenColumns {
  uint32_t first[4], last[4];
  __device__ __forceinline__ void load(const __half* tile, int column, const LanePlaces& at) {
    wide_b(first, tile, at, 0, column);
    wide_b(last, tile, at, 16, column);
  }
};
// d = triangle (upper: its transpose) * columns.
template <bool UPPER>
__device__ __forceinline__ void times_tokens(Slice& d, const __half* triangle, const TokenColumns& columns, const LanePlaces& at) {
  Triangle t;
  clear(d);
  t.load(triangle, at, UPPER);
  t.multiply_by(d[0], d[1], columns.first, columns.last, UPPER);
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
template <class T, bool RESETS>
__device__ __forceinline__ void slice_of_dv(GradientShared& s, const Gradients<T>& g, const ChunkRows& rows,
                                            [[maybe_unused]] const Documents<RESETS>& documents, const LanePlaces& at) {
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
  if constexpr (RESETS) {
    if (documents.any()) keep_rows(sum, documents.before_end());
  }
  const float unit_K = s.unit[kUnitK], unit_dX = s.unit[kUnitZ] * s.unit[kUnitDu];
  TokenColumns columns;
  columns.load(s.dY, column, at);
  times_tokens<true>(part, s.RK, columns, at);
  add(sum, unit_K * s.unit[kUnitG], part, unit_K * s.unit[kUnitR] * s.unit[kUnitDy] / kLift);
  columns.load(s.dX, column, at);
  times_tokens<true>(part, s.AK, columns, at);
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
template <class T, bool RESETS>
__device__ __forceinline__ void slice_of_gradients(GradientShared& s, const Gradients<T>& g, const ChunkRows& rows,
                                                   [[maybe_unused]] const Documents<RESETS>& documents, const LanePlaces& at) {
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
    for (int e = 0; e < 2; ++e) {
      constant[n][e] = __shfl_sync(kWholeWarp, gs[n][2 * n + e], 9 * q + 4 * e) * (s.unit[kUnitS] * s.unit[kUnitG]);
      if constexpr (RESETS) constant[n][e] = documents.any() ? 0.0f : constant[n][e];
    }
  __syncwarp();

  Slice x;  // what is summed to the end: R DR + A DA - K DK - B DB
  Slice y, part;
  clear(x);
  TokenColumns columns[2];
  columns[0].load(s.K, column, at);
  columns[1].load(s.B, column, at);
#pragma unroll 1
  for (int of_a = 0; of_a < 2; ++of_a) {
    const float unit = of_a ? unit_dX : unit_dY, unit_copy = s.unit[of_a ? kUnitA : kUnitR];
    More<T> more;
    more.load(of_a ? nullptr : g.dr_more, rows, column);
    times_state(y, of_a ? s.dX : s.dY, S, at);
    if constexpr (RESETS) {
      if (documents.any()) keep_rows(y, documents.after_start());
    }
    times_tokens<false>(part, of_a ? s.dAK : dRK, columns[0], at);
    add(y, unit * s.unit[kUnitS], part, (of_a ? unit_dAK : unit_dRK) * s.unit[kUnitK]);
    times_tokens<false>(part, of_a ? dAB : s.dRB, columns[1], at);
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
      to[0] *= c.x;
      to[1] *= c.y;
      x[m][n][2 * half] += to[0] * unit_copy;
      x[m][n][2 * half + 1] += to[1] * unit_copy;
    });
  }

  columns[0].load(s.R, column, at);
  columns[1].load(s.A, column, at);
  float before[2][2] = {};  // this lane's part of all K sK + B sB, by column
#pragma unroll 1
  for (int of_b = 0; of_b < 2; ++of_b) {
    const float unit_state = (of_b ? unit_U : unit_V) * s.unit[kUnitG], unit_copy = s.unit[of_b ? kUnitB : kUnitK];
    More<T> more;
    more.load(of_b ? nullptr : g.dk_more, rows, column);
    Slice state, inner;
    times_tokens<true>(inner, of_b ? s.dRB : dRK, columns[0], at);
    times_tokens<true>(part, of_b ? dAB : s.dAK, columns[1], at);
    add(inner, (of_b ? unit_dRB : unit_dRK) * s.unit[kUnitR], part, (of_b ? unit_dAB : unit_dAK) * s.unit[kUnitA]);
    times_state(state, of_b ? s.U : s.V, G, at);
    if constexpr (RESETS) {
      if (documents.any()) keep_rows(state, documents.before_end());
    }
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

  // y still holds A DA in A's unit; it counts for earlier tokens only.
  const float unit_A = s.unit[kUnitA];
  sums_to_end(x);
  __syncwarp();
  for_pairs([&](int m, int n, int half) {
    const float2 sum{constant[n][0] + (x[m][n][2 * half] - y[m][n][2 * half] * unit_A),
                     constant[n][1] + (x[m][n][2 * half + 1] - y[m][n][2 * half + 1] * unit_A)};
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

}  // namespace rk::cuda::wkv7
