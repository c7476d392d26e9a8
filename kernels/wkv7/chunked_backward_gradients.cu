// The gradients of one chunk from its inputs, dy, S before it and G = dL/dS after it; every chunk by a block of its own.
// With copies R, A, K, B (chunk.cuh), S' = S e^M and G' = G e^(L_end - M) by key column, and Z = (I - AB)^-1:
//   X = AK V + A S'T   U = Z X   dU = RBT dY + B G'T   dX = ZT dU   dV = RKT dY + K G'T + AKT dX
//   dRK = tril(dY VT)  dRB = tril(dY UT)  dAK = stril(dX VT)  dAB = stril(dX UT)
//   DR = dY S' + dRK K + dRB B      dr = DR e^(L - M)      DK = V G' + dRKT R + dAKT A    dk = DK e^(M - L)
//   DA = dX S' + dAK K + dAB B      da = DA e^(L- - M)     DB = U G' + dRBT R + dABT A    db = DB e^(M - L)
// and for log d at token p, with DK = state part sK + inner part iK, DB likewise:
//   sum_i G S decay + sum_{t >= p} (R DR - K iK - B iB) + sum_{t > p} A DA + sum_{t < p} (K sK + B sB),
// every factor rounded as in the products, so that pairs of tokens on one side of p cancel to f32.
// With resets (chunk_documents.cuh) tril and stril, AB, AK, RB, RK among them, keep pairs of one document, what has S' as a factor keeps
// rows before the first reset, what has G' rows from the last one on, and the sum of G S decay is zero.
#include "kernels/wkv7/chunk_maps.h"
#include "kernels/wkv7/chunked_backward.h"
#include "kernels/wkv7/gradient_slices.cuh"

namespace rk::cuda::wkv7 {
namespace {

// tile = triangle * p * rescale + x stateT, scaled to numbers below 2; returns the power of two that was taken out. Of x rows in `tokens`.
template <bool RESETS>
__device__ __forceinline__ float inner_and_state(__half* tile, const Triangle& triangle, bool upper, const __half* p, const __half* x,
                                                 const __half* state, float rescale, [[maybe_unused]] uint32_t tokens,
                                                 const LanePlaces& at) {
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
    if constexpr (RESETS) {
      if (tokens != 0xffffffffu) {
        keep_rows(a[0], tokens, 0);
        keep_rows(a[1], tokens, 16);
      }
    }
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

// Moves, per chunk and head, 7 strips of 4 KiB (8, 9, 10 with what is added) and S and G of 8 KiB in, 6 strips out.
template <class T, bool RESETS>
__global__ void __launch_bounds__(kThreads, 3) gradients_kernel(const Gradients<T> g) {
  GradientShared& s = *shared_memory<GradientShared>();
  // Heads of one chunk are neighbours in memory and in the grid.
  const int64_t id = blockIdx.x;
  const int64_t h = id % g.s.H, chunk = id / g.s.H % g.s.n_chunks, head = id / g.s.H / g.s.n_chunks * g.s.H + h;
  const ChunkRows rows = chunk_rows(g.s, head, static_cast<int>(chunk));
  const int warp = __shfl_sync(kWholeWarp, warp_index(), 0);
  Documents<RESETS> documents(g.s, head, static_cast<int>(chunk));
  prepare(s, g, rows, head * g.s.n_chunks + chunk);
  documents.settle();
  __syncthreads();

  const LanePlaces at;
  TokenProduct t;
  Triangle triangle;
  t.make(warp < 2 ? s.A : s.R, warp % 2 == 0 ? s.B : s.K, at, warp < 2 ? 0 : 1);
  if constexpr (RESETS) {
    if (documents.any()) t.keep(documents);
  }
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
      uint32_t tokens = 0xffffffffu;
      if constexpr (RESETS) tokens = upper ? documents.before_end() : documents.after_start();
      const float unit = inner_and_state<RESETS>(upper ? s.dX : s.U, triangle, upper, upper ? s.dY : s.V, upper ? s.B : s.A,
                                                 upper ? s.G : s.S, rescale, tokens, at);
      if (lane_index() == 0) s.unit[upper ? kUnitDu : kUnitX] = unit * unit_x * unit_state;
    }
  }
  __syncthreads();

  triangle.load(s.Z, at, warp >= 2);
  triangle_times(triangle, warp >= 2, warp < 2 ? s.U : s.dX, 32 * (warp % 2), at);
  __syncthreads();

  // dRB, dAK, dAB, dRK.
  t.make(warp == 0 || warp == 3 ? s.dY : s.dX, warp == 0 || warp == 2 ? s.U : s.V, at, warp == 0 || warp == 3 ? 1 : 0);
  if constexpr (RESETS) {
    if (documents.any()) t.keep(documents);
  }
  t.store(warp == 0 ? s.dRB : warp == 1 ? s.dAK : warp == 2 ? s.Z : s.RB, at, warp == 2 ? kLiftTwice : warp == 3 ? kLift : kLiftOnce);
  slice_of_dv(s, g, rows, documents, at);
  __syncthreads();

  slice_of_gradients(s, g, rows, documents, at);
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
                         .s = sequences(a.r.shape, a.resets)};
    launch(ex, g.s.resets ? gradients_kernel<T, true> : gradients_kernel<T, false>,
           {.grid = dim3(static_cast<unsigned>(count_chunks(a.r.shape))), .block = dim3(kThreads), .shared = sizeof(GradientShared)}, g);
  };
  if (a.r.dtype == DType::f16) return launch_for.operator()<__half>();
  launch_for.operator()<__nv_bfloat16>();
}

}  // namespace rk::cuda::wkv7
