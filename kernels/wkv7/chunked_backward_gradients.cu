// The gradients of one chunk from its inputs, dy, S before it and G = dL/dS after it; every chunk by a block of its own.
// With copies R, A, K, B (chunk.cuh), S' = S e^M and G' = G e^(L_end - M) by key column, and Z = (I - AB)^-1:
//   X = AK V + A S'T   U = Z X   dU = RBT dY + B G'T   dX = ZT dU   dV = RKT dY + K G'T + AKT dX
//   dRK = tril(dY VT)  dRB = tril(dY UT)  dAK = stril(dX VT)  dAB = stril(dX UT)
//   DR = dY S' + dRK K + dRB B      dr = DR e^(L - M)      DK = V G' + dRKT R + dAKT A    dk = DK e^(M - L)
//   DA = dX S' + dAK K + dAB B      da = DA e^(L- - M)     DB = U G' + dRBT R + dABT A    db = DB e^(M - L)
// and for log d at token p, with DK = state part sK + inner part iK, DB likewise:
//   sum_i G S decay + sum_{t >= p} (R DR - K iK - B iB) + sum_{t > p} A DA + sum_{t < p} (K sK + B sB),
// every factor rounded as in the products, so that pairs of tokens on one side of p cancel to f32.
#include "kernels/wkv7/chunk_inverse.cuh"
#include "kernels/wkv7/chunk_maps.h"
#include "kernels/wkv7/chunked_backward.h"

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
  __half AK[kTokens * kTokens], Z[kTokens * kTokens];
  __half dRK[kTokens * kTokens], dRB[kTokens * kTokens], dAK[kTokens * kTokens];  // dAB takes the place of Z
  float L[kStrip];                                                                // L - M in log2, then the gradient of log d
  uint16_t dv[kStrip];
  Exchange<8> exchange;
  float gs[kWarps][kHead];  // sums over rows of G S
  float unit[kUnits];
};

// 1 / x of a power of two from power_scale().
__device__ __forceinline__ float inverse_power(float x) { return __uint_as_float((254u << 23) - __float_as_uint(x)); }

// Factors by which products of tokens go into fp16: the largest they can be, in units of their factors, is 2^15.
inline constexpr float kLift = 128, kLiftOnce = 2, kLiftTwice = 1.0f / 32;  // with none, one, two of U and dX, which reach 2^7

// L - M: f32, 8 bytes of every lane of an accumulator in different banks.
__device__ __forceinline__ int place_of_l(int row, int column) { return row * kHead + (((column / 8) ^ (row % 8)) * 8) + column % 8; }

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
  float S_unit[4], G_unit[4];
#pragma unroll
  for (int m = 0; m < 4; ++m) {
    const int row = first_row + 16 * m, from = blocked(row, own_channel()), to = Wide::at(row, own_channel());
    copy_async_16(s.S + to, g.before.number + index * kSquare + from, true);
    copy_async_16(s.G + to, g.after.number + index * kSquare + from, true);
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
  const auto largest_unit = [](const float(&unit)[4]) {
    uint32_t m = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) m = larger(m, magnitude(unit[i]));
    return m;
  };
  publish_largest(s.exchange, kUnitS, largest_unit(S_unit));
  publish_largest(s.exchange, kUnitG, largest_unit(G_unit));
  __syncthreads();

  l.finish(s.exchange);
  float unit[8], inverse[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    unit[i] = power_scale(block_largest(s.exchange, i), 0);
    inverse[i] = inverse_power(unit[i]);
  }
  if (threadIdx.x < 8) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      if (static_cast<int>(threadIdx.x) == i) s.unit[i] = unit[i];
    }
  }
  write_operands({s.R, s.A, s.K, s.B}, l, {inverse[kUnitR], inverse[kUnitK], inverse[kUnitA], inverse[kUnitB]}, r, k, a, b);
#pragma unroll
  for (int u = 0; u < 2; ++u) {
    write_own(s.V, u, [&](int i) { return v.at(u, i) * inverse[kUnitV]; });
    write_own(s.dY, u, [&](int i) { return dy.at(u, i) * inverse[kUnitDy]; });
    float L[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) L[i] = l.L[u + 1][i] - l.middle[i];
    float* to = s.L + place_of_l(own_token() + u, own_channel());
    *reinterpret_cast<float4*>(to) = float4{L[0], L[1], L[2], L[3]};
    *reinterpret_cast<float4*>(to + 4) = float4{L[4], L[5], L[6], L[7]};
  }

  copy_async_wait<0>();
  float gs[8], to_S[8], to_G[8];
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    gs[i] = 0;
    to_S[i] = fast_exp2(l.middle[i]);
    to_G[i] = fast_exp2(l.end[i] - l.middle[i]);
  }
#pragma unroll
  for (int m = 0; m < 4; ++m) {
    const int at = Wide::at(first_row + 16 * m, own_channel());
    float x[8], y[8];
    load(s.S + at, x);
    load(s.G + at, y);
    const float S_row = S_unit[m] * inverse[kUnitS], G_row = G_unit[m] * inverse[kUnitG];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const float Si = x[i] * S_row, Gi = y[i] * G_row;
      gs[i] += Si * Gi;
      x[i] = Si * to_S[i];
      y[i] = Gi * to_G[i];
    }
    store(s.S + at, x);
    store(s.G + at, y);
  }
#pragma unroll
  for (int i = 0; i < 8; ++i) {
    gs[i] += __shfl_xor_sync(kWholeWarp, gs[i], 8);
    gs[i] += __shfl_xor_sync(kWholeWarp, gs[i], 16);
    gs[i] *= unit[kUnitS] * unit[kUnitG] * fast_exp2(l.end[i]);
  }
  if (lane_index() < 8) {
    *reinterpret_cast<float4*>(&s.gs[warp_index()][own_channel()]) = float4{gs[0], gs[1], gs[2], gs[3]};
    *reinterpret_cast<float4*>(&s.gs[warp_index()][own_channel() + 4]) = float4{gs[4], gs[5], gs[6], gs[7]};
  }
}

// ---- d = (x yT, as KEEP says) p * rescale + x stateT; the product of tokens also goes into `kept`.
template <Keep KEEP>
__device__ __forceinline__ void inner_and_state(float (&d)[2][8][4], const __half* x, const __half* y, const __half* p, const __half* state,
                                                float rescale, __half* kept) {
  TokenRows rows;
  rows.load(x);
  uint32_t inner[2][2][4];  // [k][half]
  {
    float t[2][4][4];
    token_product<KEEP>(t, rows, y);
    if (kept) store_lower(kept, t, kLift);
#pragma unroll
    for (int k = 0; k < 2; ++k)
#pragma unroll
      for (int m = 0; m < 2; ++m) a_of_acc(inner[k][m], t[m][2 * k], t[m][2 * k + 1], kLift);
  }
  clear(d);
  multiply_both<KEEP == Keep::from_row ? Rows::first : Rows::both>(d, inner[0], p, 0, 0);
  multiply_both<KEEP == Keep::from_row ? Rows::both : Rows::second>(d, inner[1], p, 16, 0);
  scale_acc(d, rescale);
#pragma unroll
  for (int k = 0; k < 4; ++k) multiply_both_transpose(d, rows.a[k], state, 0, 16 * k);
}

// Into a tile of numbers below 2; returns the power of two that was taken out.
__device__ __forceinline__ float store_scaled(__half* tile, const float (&d)[2][8][4]) {
  const float unit = power_scale(warp_largest(larger(largest_of(d[0]), largest_of(d[1]))), 0);
  store_acc<Wide>(tile, 0, 0, d[0], inverse_power(unit));
  store_acc<Wide>(tile, 16, 0, d[1], inverse_power(unit));
  return unit;
}

// Half a tile becomes x times it; only this warp uses these columns.
template <bool TRANSPOSED>
__device__ __forceinline__ void triangle_times(const __half* x, __half* tile, int column) {
  float d[2][4][4];
  clear(d);
  multiply_triangle<TRANSPOSED>(d, x, tile, column);
  __syncwarp();
  store_acc<Wide>(tile, 0, column, d[0]);
  store_acc<Wide>(tile, 16, column, d[1]);
}

// ---- One warp's 16 channels of dr, dk, da, db and the gradient of log d.
using Slice = float[2][2][4];

// sum += x * factor.
__device__ __forceinline__ void add(Slice& sum, const Slice& x, float factor) {
#pragma unroll
  for (int m = 0; m < 2; ++m)
#pragma unroll
    for (int n = 0; n < 2; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) sum[m][n][i] += x[m][n][i] * factor;
}
// Calls f(m, n, half, row, column) for every pair of this lane.
template <class F>
__device__ __forceinline__ void for_pairs(int first_column, const F& f) {
#pragma unroll
  for (int m = 0; m < 2; ++m)
#pragma unroll
    for (int n = 0; n < 2; ++n)
#pragma unroll
      for (int half = 0; half < 2; ++half) f(m, n, half, pair_row(m, half), first_column + acc_column(n, 0));
}
// d = x * (the columns of S or G in b).
__device__ __forceinline__ void times_state(Slice& d, const __half* x, const uint32_t (&b)[4][2][2]) {
  clear(d);
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    uint32_t a[2][4];
    a_of<Wide>(a[0], x, 0, 16 * k);
    a_of<Wide>(a[1], x, 16, 16 * k);
    multiply_pair<Rows::both>(d, 0, a, b[k]);
  }
}
__device__ __forceinline__ void load_state(uint32_t (&b)[4][2][2], const __half* tile, int column) {
#pragma unroll
  for (int k = 0; k < 4; ++k) b_of<Wide>(b[k], tile, 16 * k, column);
}
// sum += (x or xT) tile * factor.
template <bool TRANSPOSED>
__device__ __forceinline__ void add_inner(Slice& sum, const __half* x, const __half* tile, int column, float factor) {
  Slice d;
  clear(d);
  multiply_triangle<TRANSPOSED>(d, x, tile, column);
  add(sum, d, factor);
}

// More of a gradient, fetched early; zero where absent.
template <class T>
struct More {
  uint32_t pair[2][2][2];
  __device__ __forceinline__ void load(const T* p, const ChunkRows& rows, int first_column) {
    for_pairs(first_column, [&](int m, int n, int half, int row, int column) {
      const bool here = p != nullptr && row < rows.n_tokens;
      pair[m][n][half] = here ? *reinterpret_cast<const uint32_t*>(p + rows.first + row * rows.stride + column) : 0u;
    });
  }
  __device__ __forceinline__ float2 at(int m, int n, int half) const {
    const Pack<T, 2> p = *reinterpret_cast<const Pack<T, 2>*>(&pair[m][n][half]);
    return {to_float(p.x[0]), to_float(p.x[1])};
  }
};
template <class T>
__device__ __forceinline__ void put_pair(void* tile, int row, int column, float x, float y) {
  float v[2] = {x, y};
  store(static_cast<T*>(tile) + Wide::at(row, column), v);
}

// Column sums over all 32 tokens, in every lane.
__device__ __forceinline__ void column_sums(float (&sum)[2][2], const Slice& x) {
#pragma unroll
  for (int n = 0; n < 2; ++n)
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      float y = (x[0][n][e] + x[0][n][2 + e]) + (x[1][n][e] + x[1][n][2 + e]);
#pragma unroll
      for (int step = 4; step < 32; step *= 2) y += __shfl_xor_sync(kWholeWarp, y, step);
      sum[n][e] = y;
    }
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

template <class T>
__device__ __forceinline__ void slice_of_gradients(GradientShared& s, const Gradients<T>& g, const ChunkRows& rows) {
  const int column = 16 * warp_index();
  const float unit_U = s.unit[kUnitZ] * s.unit[kUnitX], unit_dX = s.unit[kUnitZ] * s.unit[kUnitDu];
  const float unit_V = s.unit[kUnitV], unit_dY = s.unit[kUnitDy];
  const float unit_dRK = unit_dY * unit_V / kLift, unit_dRB = unit_dY * unit_U / kLiftOnce;
  const float unit_dAK = unit_dX * unit_V / kLiftOnce, unit_dAB = unit_dX * unit_U / kLiftTwice;
  const __half* dAB = s.Z;
  More<T> dr_more, dk_more;
  dr_more.load(g.dr_more, rows, column);
  dk_more.load(g.dk_more, rows, column);

  Slice x;  // what is summed to the end: R DR - K iK - B iB + A DA - (K sK + B sB)
  Slice state, inner;
  float before[2][2] = {};  // all of K sK + B sB by column
  clear(x);
  uint32_t fragment[4][2][2];
  load_state(fragment, s.G, column);
  // The places of G and S that this warp has read serve as room for results: dk and db, dr and da.
  const auto keys = [&](const __half* values, float unit_values, const __half* with_R, float unit_R_part, const __half* with_A,
                        float unit_A_part, const __half* copy, float unit_copy, int room_row, const More<T>* more) {
    times_state(state, values, fragment);
    clear(inner);
    add_inner<true>(inner, with_R, s.R, column, unit_R_part * s.unit[kUnitR]);
    add_inner<true>(inner, with_A, s.A, column, unit_A_part * s.unit[kUnitA]);
    const float unit_state = unit_values * s.unit[kUnitG];
    for_pairs(column, [&](int m, int n, int half, int row, int col) {
      const float2 c = pair_at(copy, row, col);
      const float2 L = *reinterpret_cast<const float2*>(s.L + place_of_l(row, col));
      float y[2];
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int i = 2 * half + e;
        const float factor = (e == 0 ? c.x : c.y) * unit_copy, from_state = state[m][n][i] * unit_state;
        y[e] = (from_state + inner[m][n][i]) * fast_exp2(-(e == 0 ? L.x : L.y));
        state[m][n][i] = factor * from_state;
        x[m][n][i] -= factor * inner[m][n][i] + state[m][n][i];
      }
      if (more) {
        const float2 z = more->at(m, n, half);
        y[0] += z.x;
        y[1] += z.y;
      }
      put_pair<T>(s.G, room_row + row, col, y[0], y[1]);
    });
    float sums[2][2];
    column_sums(sums, state);
#pragma unroll
    for (int n = 0; n < 2; ++n)
#pragma unroll
      for (int e = 0; e < 2; ++e) before[n][e] += sums[n][e];
  };
  __syncwarp();
  keys(s.V, unit_V, s.dRK, unit_dRK, s.dAK, unit_dAK, s.K, s.unit[kUnitK], 0, &dk_more);
  keys(s.U, unit_U, s.dRB, unit_dRB, dAB, unit_dAB, s.B, s.unit[kUnitB], kTokens, static_cast<const More<T>*>(nullptr));

  load_state(fragment, s.S, column);
  __syncwarp();
  const auto queries = [&](const __half* gradient, float unit_gradient, const __half* with_K, float unit_K_part, const __half* with_B,
                           float unit_B_part) {
    times_state(state, gradient, fragment);
    clear(inner);
    add(inner, state, unit_gradient * s.unit[kUnitS]);
    add_inner<false>(inner, with_K, s.K, column, unit_K_part * s.unit[kUnitK]);
    add_inner<false>(inner, with_B, s.B, column, unit_B_part * s.unit[kUnitB]);
  };
  queries(s.dY, unit_dY, s.dRK, unit_dRK, s.dRB, unit_dRB);
  for_pairs(column, [&](int m, int n, int half, int row, int col) {
    const float2 c = pair_at(s.R, row, col);
    const float2 L = *reinterpret_cast<const float2*>(s.L + place_of_l(row, col));
    float* y = &inner[m][n][2 * half];
    x[m][n][2 * half] += c.x * s.unit[kUnitR] * y[0];
    x[m][n][2 * half + 1] += c.y * s.unit[kUnitR] * y[1];
    const float2 z = dr_more.at(m, n, half);
    put_pair<T>(s.S, row, col, y[0] * fast_exp2(L.x) + z.x, y[1] * fast_exp2(L.y) + z.y);
  });
  queries(s.dX, unit_dX, s.dAK, unit_dAK, dAB, unit_dAB);
  for_pairs(column, [&](int m, int n, int half, int row, int col) {
    const float2 c = pair_at(s.A, row, col);
    // L before the first token is 0.
    float2 L;
    if (row > 0) {
      L = *reinterpret_cast<const float2*>(s.L + place_of_l(row - 1, col));
    } else {
      L.x = -(s.exchange.log_decay[0][col] + s.exchange.log_decay[1][col]);
      L.y = -(s.exchange.log_decay[0][col + 1] + s.exchange.log_decay[1][col + 1]);
    }
    float* y = &inner[m][n][2 * half];
    put_pair<T>(s.S, kTokens + row, col, y[0] * fast_exp2(L.x), y[1] * fast_exp2(L.y));
    y[0] *= c.x * s.unit[kUnitA];
    y[1] *= c.y * s.unit[kUnitA];
    x[m][n][2 * half] += y[0];
    x[m][n][2 * half + 1] += y[1];
  });

  sums_to_end(x);
  __syncwarp();
  for_pairs(column, [&](int m, int n, int half, int row, int col) {
    float2 y;
    float all[2];
#pragma unroll
    for (int e = 0; e < 2; ++e) {
      float gs = 0;
#pragma unroll
      for (int w = 0; w < kWarps; ++w) gs += s.gs[w][col + e];
      all[e] = gs + before[n][e];
    }
    y.x = all[0] + (x[m][n][2 * half] - inner[m][n][2 * half]);
    y.y = all[1] + (x[m][n][2 * half + 1] - inner[m][n][2 * half + 1]);
    *reinterpret_cast<float2*>(s.L + place_of_l(row, col)) = y;
  });
}

// A tile of results, rows row ... row + 31 of it, into memory.
template <class T>
__device__ __forceinline__ void write_rows(T* to, const ChunkRows& rows, const void* tile, int row) {
#pragma unroll
  for (int u = 0; u < 2; ++u) {
    const int t = own_token() + u;
    if (t < rows.n_tokens)
      *reinterpret_cast<uint4*>(to + rows.first + t * rows.stride + own_channel()) =
          *reinterpret_cast<const uint4*>(static_cast<const T*>(tile) + Wide::at(row + t, own_channel()));
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads, 3) gradients_kernel(const Gradients<T> g) {
  GradientShared& s = *shared_memory<GradientShared>();
  // Heads of one chunk are neighbours in memory and in the grid.
  const int64_t id = blockIdx.x;
  const int64_t h = id % g.s.H, chunk = id / g.s.H % g.s.n_chunks, head = id / g.s.H / g.s.n_chunks * g.s.H + h;
  const ChunkRows rows = chunk_rows(g.s, head, static_cast<int>(chunk));
  const int warp = warp_index();
  prepare(s, g, rows, head * g.s.n_chunks + chunk);
  __syncthreads();

  float d[2][8][4];  // warp 1: X, warp 2: dU, warp 3: dV
  if (warp == 0) {
    float t[2][4][4];
    token_product<Keep::before_row>(t, s.A, s.B);
    const float unit = invert(s.Z, reinterpret_cast<float*>(s.dRB), t, s.unit[kUnitA] * s.unit[kUnitB]);
    if (lane_index() == 0) s.unit[kUnitZ] = unit;
    token_product<Keep::to_row>(t, s.dY, s.V);
    store_lower(s.dRK, t, kLift);
  } else if (warp == 1) {
    const float rescale = s.unit[kUnitK] * s.unit[kUnitV] * inverse_power(s.unit[kUnitS]) / kLift;
    inner_and_state<Keep::before_row>(d, s.A, s.K, s.V, s.S, rescale, s.AK);
    const float unit = store_scaled(s.U, d);
    if (lane_index() == 0) s.unit[kUnitX] = unit * s.unit[kUnitA] * s.unit[kUnitS];
  } else {
    const float rescale = s.unit[kUnitR] * s.unit[kUnitDy] * inverse_power(s.unit[kUnitG]) / kLift;
    inner_and_state<Keep::from_row>(d, warp == 2 ? s.B : s.K, s.R, s.dY, s.G, rescale, nullptr);
    if (warp == 2) {
      const float unit = store_scaled(s.dX, d);
      if (lane_index() == 0) s.unit[kUnitDu] = unit * s.unit[kUnitB] * s.unit[kUnitG];
    }
  }
  __syncthreads();

  if (warp < 2)
    triangle_times<false>(s.Z, s.U, 32 * (warp % 2));
  else
    triangle_times<true>(s.Z, s.dX, 32 * (warp % 2));
  __syncthreads();

  if (warp == 3) {
    const float unit_dX = s.unit[kUnitZ] * s.unit[kUnitDu], unit_AK = s.unit[kUnitA] * s.unit[kUnitK] / kLift;
    scale_acc(d, s.unit[kUnitG] * kLift * inverse_power(s.unit[kUnitA]) * inverse_power(unit_dX));
    multiply_triangle<true>(d, s.AK, s.dX, 0);
#pragma unroll
    for (int q = 0; q < 4; ++q) {
      More<T> more;
      more.load(g.dv_more, rows, 16 * q);
      for_pairs(16 * q, [&](int m, int n, int half, int row, int column) {
        const float2 z = more.at(m, n, half);
        const float* y = &d[m][2 * q + n][2 * half];
        put_pair<T>(s.dv, row, column, y[0] * unit_AK * unit_dX + z.x, y[1] * unit_AK * unit_dX + z.y);
      });
    }
  } else {
    float t[2][4][4];
    if (warp == 0) {
      token_product<Keep::to_row>(t, s.dY, s.U);
      store_lower(s.dRB, t, kLiftOnce);
    } else {
      token_product<Keep::before_row>(t, s.dX, warp == 1 ? s.V : s.U);
      store_lower(warp == 1 ? s.dAK : s.Z, t, warp == 1 ? kLiftOnce : kLiftTwice);
    }
  }
  __syncthreads();

  slice_of_gradients(s, g, rows);
  __syncthreads();

  write_rows(g.dr, rows, s.S, 0);
  write_rows(g.da, rows, s.S, kTokens);
  write_rows(g.dk, rows, s.G, 0);
  write_rows(g.db, rows, s.G, kTokens);
  write_rows(g.dv, rows, s.dv, 0);
  Own<T> w;
  w.load(g.w, rows);
#pragma unroll
  for (int u = 0; u < 2; ++u) {
    const int t = own_token() + u;
    if (t >= rows.n_tokens) continue;
    float y[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      constexpr float lambda = 0.60653066f;  // exp(-1/2)
      const float e = __expf(-fabsf(w.at(u, i)));
      y[i] = -lambda * __fdividef(e, (1 + e) * (1 + e)) * s.L[place_of_l(t, own_channel()) + i];
    }
    store(g.dw + rows.first + t * rows.stride + own_channel(), y);
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
