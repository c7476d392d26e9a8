#include "kernels/wkv7/chunk_maps.h"

#include "kernels/wkv7/chunk_documents.cuh"
#include "kernels/wkv7/inverse.cuh"

namespace rk::cuda::wkv7 {
namespace {

template <class T>
struct Pointers {
  const T *r, *w, *k, *v, *a, *b;
};

enum Input { kR, kK, kA, kB, kV, kInputs };

template <bool OUTPUTS>
struct MapsShared {
  static constexpr int kForOutputs = OUTPUTS ? kStrip : 8;
  __half R[kStrip], A[kStrip], B[kStrip], W[kStrip];                      // W = Z A
  __half K[kForOutputs], V[kForOutputs], X[kForOutputs], U[kForOutputs];  // X = AK V, U = Z X
  Exchange<kInputs> exchange;
  InverseShared inverse;
  float into[kHead], out_of[kHead];  // e^M, e^(L_end - M)
  float z_scale[2];
  uint32_t largest_e[kWarps];
};

using Tile = Swizzled<kHead>;

// d += (a[0] of the first 16 tokens' rows of the tile, a[1] of the others'); rows of both halves carry scales, d is in that of `half`.
template <int NT>
__device__ __forceinline__ void multiply_halves(float (&d)[NT][4], const uint32_t (&low)[4], const uint32_t (&high)[4], const __half* tile,
                                                bool both, float low_to_high) {
  multiply<Tile>(d, low, tile, 0, 0);
  if (both) {
    if (low_to_high != 1.0f) scale_acc(d, low_to_high);
    multiply<Tile>(d, high, tile, 16, 0);
  }
}

// Slab of 16 rows times a positive factor into memory, with its own scale.
__device__ __forceinline__ void write_slab(__half* tile, float* scale, int row, const float (&d)[8][4], float factor) {
  const float s = power_scale(magnitude(__uint_as_float(warp_largest(largest_of(d))) * factor), kStoreAim);
  store_acc<Blocked>(tile, row, 0, d, factor * inverse_scale(s));
  if (lane_index() == 0) *scale = s;
}

// Moves, per chunk, 6 (OUTPUTS) or 4 strips of 4 KiB in and E 8, Q 4 and with OUTPUTS D 8, Y0 4 KiB out.
template <class T, bool OUTPUTS, bool RESETS>
__global__ void __launch_bounds__(kThreads, OUTPUTS ? 4 : 5) chunk_maps(Pointers<T> in, Sequences seq, Maps maps) {
  __shared__ MapsShared<OUTPUTS> sh;
  const int64_t index = blockIdx.x;
  const ChunkRows rows = chunk_rows(seq, index / seq.n_chunks, static_cast<int>(index % seq.n_chunks));
  Documents<RESETS> documents(seq, index / seq.n_chunks, static_cast<int>(index % seq.n_chunks));
  float scale_r, scale_k = 1, scale_a, scale_b, scale_v = 1;
  {
    Own<T> w, r, k, a, b, v;
    w.load(in.w, rows);
    r.load(in.r, rows);
    a.load(in.a, rows);
    b.load(in.b, rows);
    if constexpr (OUTPUTS) {
      k.load(in.k, rows);
      v.load(in.v, rows);
    }
    ChunkDecay decay;
    decay.start(w, rows, sh.exchange);
    publish_largest(sh.exchange, kR, r.largest());
    publish_largest(sh.exchange, kA, a.largest());
    publish_largest(sh.exchange, kB, b.largest());
    if constexpr (OUTPUTS) {
      publish_largest(sh.exchange, kK, k.largest());
      publish_largest(sh.exchange, kV, v.largest());
    }
    documents.settle();
    __syncthreads();
    decay.finish(sh.exchange);
    scale_r = power_scale(block_largest(sh.exchange, kR), kAimR);
    scale_a = power_scale(block_largest(sh.exchange, kA), kAimA);
    scale_b = power_scale(block_largest(sh.exchange, kB), kAimB);
    if constexpr (OUTPUTS) {
      scale_k = power_scale(block_largest(sh.exchange, kK), kAimK);
      scale_v = power_scale(block_largest(sh.exchange, kV), kAimV);
    }
    write_operands({sh.R, sh.A, OUTPUTS ? sh.K : nullptr, sh.B}, decay,
                   {inverse_scale(scale_r), inverse_scale(scale_k), inverse_scale(scale_a), inverse_scale(scale_b)}, r, k, a, b);
    if constexpr (OUTPUTS) {
      const float inverse = inverse_scale(scale_v);
#pragma unroll
      for (int u = 0; u < 2; ++u) write_own(sh.V, u, [&](int i) { return v.at(u, i) * inverse; });
    }
    if (threadIdx.x < kHead) {
      const int j = static_cast<int>(threadIdx.x);
      float middle = 0, end = 0;
#pragma unroll
      for (int w = 0; w < kWarps; ++w) {
        if (w == kWarps / 2) middle = end;
        end += sh.exchange.log_decay[w][j];
      }
      sh.into[j] = fast_exp2(middle);
      sh.out_of[j] = fast_exp2(end - middle);
      float decay_of_chunk = fast_exp2(end);
      if constexpr (RESETS) decay_of_chunk = documents.any() ? 0.0f : decay_of_chunk;
      maps.decay[index * kHead + j] = decay_of_chunk;
    }
  }
  __syncthreads();

  // Two warps take R, two A, each a half of the tokens; which, changes from block to block, as the later half has twice the work.
  const int role = __shfl_sync(kWholeWarp, (warp_index() + static_cast<int>(index)) % kWarps, 0), half = role % 2;
  const bool with_a = role >= 2;
  uint32_t by_b[2][4];      // RB or AB as A operands
  float with_v[8][4] = {};  // RK V or AK V
  Inverse inverse;
  {
    float xk[2][2][4] = {}, xb[2][2][4] = {};
    const __half* left = with_a ? sh.A : sh.R;
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      uint32_t a[4];
      a_of<Tile>(a, left, half * 16, k * 16);
#pragma unroll
      for (int block = 0; block < 2; ++block) {
        if (block > half) continue;
        multiply_transpose<Tile>(xb[block], a, sh.B, block * 16, k * 16);
        if constexpr (OUTPUTS) multiply_transpose<Tile>(xk[block], a, sh.K, block * 16, k * 16);
      }
    }
#pragma unroll
    for (int block = 0; block < 2; ++block) {
      if (block == half) {
        mask_triangle(xb[block], !with_a);
        mask_triangle(xk[block], !with_a);
      }
      if constexpr (RESETS) {
        if (documents.any() && block <= half) {
          keep_pairs(xb[block], documents, half * 16, block * 16);
          if constexpr (OUTPUTS) keep_pairs(xk[block], documents, half * 16, block * 16);
        }
      }
      a_of_acc(by_b[block], xb[block][0], xb[block][1]);
      if (OUTPUTS && block <= half) {
        uint32_t by_k[4];
        a_of_acc(by_k, xk[block][0], xk[block][1]);
        multiply<Tile>(with_v, by_k, sh.V, block * 16, 0);
      }
    }
    if (with_a) {
      if constexpr (OUTPUTS) store_acc<Tile>(sh.X, half * 16, 0, with_v);
#pragma unroll
      for (int block = 0; block < 2; ++block) scale_acc(xb[block], scale_a * scale_b);
      inverse.start(sh.inverse, half == 1, xb);
    }
  }
  __syncthreads();
  if (with_a) {
    uint32_t below[4], own[4];
    const float z = inverse.finish(sh.inverse, half == 1, below, own);
    if (lane_index() == 0) sh.z_scale[half] = z;
    float d[8][4] = {};
    if (half == 1) multiply<Tile>(d, below, sh.A, 0, 0);
    multiply<Tile>(d, own, sh.A, half * 16, 0);
    store_acc<Tile>(sh.W, half * 16, 0, d);
    if constexpr (OUTPUTS) {
      float u[8][4] = {};
      if (half == 1) multiply<Tile>(u, below, sh.X, 0, 0);
      multiply<Tile>(u, own, sh.X, half * 16, 0);
      store_acc<Tile>(sh.U, half * 16, 0, u);
    }
  }
  __syncthreads();
  const float low_to_high = sh.z_scale[0] * inverse_scale(sh.z_scale[1]);
  if (!with_a) {
    const float factor = scale_a * scale_b * sh.z_scale[half];
    float d[8][4] = {};
    multiply_halves(d, by_b[0], by_b[1], sh.W, half == 1, low_to_high);
#pragma unroll
    for (int n = 0; n < 8; ++n) {
      float into[2];
      load(sh.into + acc_column(n, 0), into);
#pragma unroll
      for (int e = 0; e < 4; e += 2) {
        float r[2];
        unpack_half2(r[0], r[1], acc_pair<Tile>(static_cast<const __half*>(sh.R), half * 16, 0, n, e));
        d[n][e] = (r[0] + factor * d[n][e]) * into[0];
        d[n][e + 1] = (r[1] + factor * d[n][e + 1]) * into[1];
      }
    }
    if constexpr (RESETS) {
      if (documents.any()) keep_rows(d, documents.after_start(), half * 16);
    }
    write_slab(maps.q + index * kStrip, maps.scale + index * kScales + kScaleQ + half, half * 16, d, scale_r);
    if constexpr (OUTPUTS) {
      float u[8][4] = {};
      multiply_halves(u, by_b[0], by_b[1], sh.U, half == 1, low_to_high);
#pragma unroll
      for (int n = 0; n < 8; ++n) {
#pragma unroll
        for (int e = 0; e < 4; ++e) u[n][e] = with_v[n][e] + factor * u[n][e];
      }
      write_slab(maps.y0 + index * kStrip, maps.scale + index * kScales + kScaleY0 + half, half * 16, u, scale_r * scale_k * scale_v);
    }
  }
  const int slab = warp_index();  // 16 rows of D and E each
  const float factor = scale_a * scale_b * sh.z_scale[1];
  if constexpr (OUTPUTS) {
    float d[8][4] = {}, u[8][4] = {};
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      uint32_t a[4];
      a_of_transpose<Tile>(a, sh.V, h * 16, slab * 16);
      if constexpr (RESETS) {
        if (documents.any()) keep_columns(a, documents.before_end(), h * 16);
      }
      multiply<Tile>(d, a, sh.K, h * 16, 0);
    }
    uint32_t low[4], high[4];
    a_of_transpose<Tile>(low, sh.U, 0, slab * 16);
    a_of_transpose<Tile>(high, sh.U, 16, slab * 16);
    if constexpr (RESETS) {
      if (documents.any()) {
        keep_columns(low, documents.before_end(), 0);
        keep_columns(high, documents.before_end(), 16);
      }
    }
    multiply_halves(u, low, high, sh.B, true, low_to_high);
#pragma unroll
    for (int n = 0; n < 8; ++n) {
      float out_of[2];
      load(sh.out_of + acc_column(n, 0), out_of);
#pragma unroll
      for (int e = 0; e < 4; ++e) d[n][e] = (d[n][e] + factor * u[n][e]) * out_of[e % 2];
    }
    write_slab(maps.d + index * kSquare, maps.scale + index * kScales + kScaleD + slab, slab * 16, d, scale_v * scale_k);
  }
  float d[8][4] = {};
  uint32_t low[4], high[4];
  a_of_transpose<Tile>(low, sh.W, 0, slab * 16);
  a_of_transpose<Tile>(high, sh.W, 16, slab * 16);
  if constexpr (RESETS) {
    if (documents.any()) {  // no token is reached by the state before and reaches the one after
      keep_columns(low, 0, 0);
      keep_columns(high, 0, 16);
    }
  }
  multiply_halves(d, low, high, sh.B, true, low_to_high);
  Largest of_rows[2];
#pragma unroll
  for (int n = 0; n < 8; ++n) {
    float out_of[2];
    load(sh.out_of + acc_column(n, 0), out_of);
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      d[n][e] *= out_of[e % 2];
      of_rows[e / 2].see(d[n][e]);
    }
  }
  float row_factor[2];
  uint32_t own = 0;
#pragma unroll
  for (int h = 0; h < 2; ++h) {
    row_factor[h] = factor * sh.into[slab * 16 + acc_row(2 * h)];
    own = larger(own, magnitude(__uint_as_float(of_rows[h].magnitude()) * row_factor[h]));
  }
  own = warp_largest(own);
  if (lane_index() == 0) sh.largest_e[slab] = own;
  __syncthreads();
  uint32_t largest = 0;
#pragma unroll
  for (int w = 0; w < kWarps; ++w) largest = larger(largest, sh.largest_e[w]);
  const float s = power_scale(largest, kStoreAim), inverse_s = inverse_scale(s);
  __half* tile = maps.e + index * kSquare;
#pragma unroll
  for (int n = 0; n < 8; ++n) {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const float f = row_factor[h] * inverse_s;
      *acc_pair<Blocked>(tile, slab * 16, 0, n, 2 * h) = pack_half2(d[n][2 * h] * f, d[n][2 * h + 1] * f);
    }
  }
  if (threadIdx.x == 0) maps.scale[index * kScales + kScaleE] = s;
}

template <class T>
void make_maps_of(const Exec& ex, const ChunkInputs& in, const Maps& maps) {
  const Launch l{.grid = dim3(static_cast<unsigned>(count_chunks(in.r.shape))), .block = dim3(kThreads)};
  const Pointers<T> p{in.r.as<T>(), in.w.as<T>(), maybe<T>(in.k), maybe<T>(in.v), in.a.as<T>(), in.b.as<T>()};
  const Sequences s = sequences(in.r.shape, in.resets);
  if (maps.y0) {
    launch(ex, s.resets ? chunk_maps<T, true, true> : chunk_maps<T, true, false>, l, p, s, maps);
  } else {
    launch(ex, s.resets ? chunk_maps<T, false, true> : chunk_maps<T, false, false>, l, p, s, maps);
  }
}

}  // namespace

Maps take_maps(Arena& arena, int64_t chunks, bool outputs) {
  Maps m{};
  const auto halves = [&](int64_t n) { return static_cast<__half*>(arena.take(DType::f16, {chunks, n}).data); };
  const auto floats = [&](int64_t n) { return static_cast<float*>(arena.take(DType::f32, {chunks, n}).data); };
  m.e = halves(kSquare);
  m.q = halves(kStrip);
  if (outputs) {
    m.d = halves(kSquare);
    m.y0 = halves(kStrip);
  }
  m.decay = floats(kHead);
  m.scale = floats(kScales);
  return m;
}

void make_maps(const Exec& ex, const ChunkInputs& in, const Maps& maps) {
  if (in.r.dtype == DType::f16) return make_maps_of<__half>(ex, in, maps);
  make_maps_of<__nv_bfloat16>(ex, in, maps);
}

}  // namespace rk::cuda::wkv7
