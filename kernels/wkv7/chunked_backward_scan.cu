// G = dL/dS after every chunk, from the last chunk to the first:  G <- G diag(decay) + G E^T + dY^T Q.
// A warp owns 16 value rows of G in registers; rows never mix, so a head may be cut into 1, 2 or 4 blocks. One barrier a chunk: while a
// chunk is computed, E, Q and dy of the next ones arrive by asynchronous copies.
#include "kernels/wkv7/chunk_maps.h"
#include "kernels/wkv7/chunked_backward.h"

namespace rk::cuda::wkv7 {
namespace {

template <class T>
struct ReverseScan {
  const T* dy;
  Maps maps;                // e, q, decay, scale
  const float* dstate_out;  // null: zero
  float* dstate_in;         // null: not wanted
  States after;             // G, written
  Sequences s;
};

inline constexpr int kScanStages = 3;

struct ScanStage {
  __half E[kSquare], Q[kStrip];  // Blocked
  uint16_t dy[kStrip];           // Swizzled<64>, the model's type
  float decay[kHead], scale[kScales];
};

// This thread's part of the copies of one chunk after the other, from the last to the first.
template <class T, int WARPS>
struct Fetcher {
  static constexpr int kThreads = 32 * WARPS, kPieces = 2 * WARPS;  // a token's pieces of 16 bytes that this block's rows need
  static_assert(kTokens * kPieces == 2 * kThreads && kThreads >= 16 + kScales / 4);
  const __half *e, *q;
  const T* dy;
  const float* small;  // decay, or scales
  int64_t half_chunk;  // elements of dy between tokens 16 apart
  int dy_to, rest;     // tokens of the chunk that is next

  __device__ __forceinline__ Fetcher(const ReverseScan<T>& p, int64_t head, int first_row) {
    const int thread = static_cast<int>(threadIdx.x), last = p.s.n_chunks - 1;
    const int64_t index = head * p.s.n_chunks + last;
    const ChunkRows rows = chunk_rows(p.s, head, last);
    const int token = thread / kPieces, column = first_row + thread % kPieces * 8;
    e = p.maps.e + index * kSquare + thread * 8;
    q = p.maps.q + index * kStrip + thread * 8;
    dy = p.dy + rows.first + token * rows.stride + column;
    dy_to = Swizzled<kHead>::at(token, column);
    half_chunk = 16 * rows.stride;
    small = thread < 16 ? p.maps.decay + index * kHead + thread * 4 : p.maps.scale + index * kScales + (thread - 16) * 4;
    rest = rows.n_tokens - token;
  }
  __device__ __forceinline__ void operator()(ScanStage& to) {
    const int thread = static_cast<int>(threadIdx.x);
#pragma unroll
    for (int i = 0; i < kSquare / 8 / kThreads; ++i) copy_async_16(to.E + thread * 8 + i * kThreads * 8, e + i * kThreads * 8, true);
#pragma unroll
    for (int i = 0; i < kStrip / 8 / kThreads; ++i) copy_async_16(to.Q + thread * 8 + i * kThreads * 8, q + i * kThreads * 8, true);
    copy_async_16(to.dy + dy_to, dy, rest > 0);
    copy_async_16(to.dy + dy_to + 16 * kHead, dy + half_chunk, rest > 16);
    if (thread < 16 + kScales / 4) copy_async_16(to.decay + thread * 4, small, true);  // the scales follow the decays
    e -= kSquare;
    q -= kStrip;
    dy -= 2 * half_chunk;
    small -= thread < 16 ? kHead : kScales;
    rest = kTokens;
  }
};

template <class T>
__device__ __forceinline__ float2 pair_of(uint32_t x) {
  const Pack<T, 2> p = *reinterpret_cast<const Pack<T, 2>*>(&x);
  return {to_float(p.x[0]), to_float(p.x[1])};
}

template <class T, int WARPS>
__global__ void __launch_bounds__(32 * WARPS, WARPS == 4 ? 3 : 4) reverse_scan_kernel(const ReverseScan<T> p) {
  ScanStage* stages = shared_memory<ScanStage>();
  constexpr int slices = 4 / WARPS;
  const int64_t head = blockIdx.x / slices;
  const int first_row = static_cast<int>(blockIdx.x) % slices * WARPS * 16, row = first_row + warp_index() * 16;
  const int lane = lane_index();
  const float* from = p.dstate_out ? p.dstate_out + head * kSquare : nullptr;

  float G[8][4];
#pragma unroll
  for (int n = 0; n < 8; ++n)
#pragma unroll
    for (int e = 0; e < 4; e += 2) {
      float2 x{0, 0};
      if (from) x = *reinterpret_cast<const float2*>(from + (row + acc_row(e)) * kHead + acc_column(n, e));
      G[n][e] = x.x;
      G[n][e + 1] = x.y;
    }

  const int n_chunks = p.s.n_chunks;
  Fetcher<T, WARPS> fetch(p, head, first_row);
  // Where this lane's pairs of G go: rows g, g + 8 of the warp, tiles of 8 columns 64 numbers apart (cuda_layout.h).
  const int64_t first = head * n_chunks + n_chunks - 1;
  __half* kept = p.after.number + first * kSquare + row * kHead + lane * 2;
  float* kept_scale = p.after.row_scale + first * kHead + row + lane / 4;
#pragma unroll
  for (int i = 0; i < kScanStages - 1; ++i) {
    if (n_chunks - 1 - i >= 0) fetch(stages[i]);
    copy_async_commit();
  }
  int slot = 0;
  for (int chunk = n_chunks - 1; chunk >= 0; --chunk) {
    copy_async_wait<kScanStages - 2>();
    __syncthreads();  // this chunk has arrived, and the chunk behind it is done with
    {
      const int free = slot == 0 ? kScanStages - 1 : slot - 1;
      if (chunk >= kScanStages - 1) fetch(stages[free]);
      copy_async_commit();
    }
    const ScanStage& s = stages[slot];
    slot = slot + 1 == kScanStages ? 0 : slot + 1;

    // G in fp16 with a scale per row: kept for the gradients, and factor of the product with E.
    uint32_t top = 0, bottom = 0;
#pragma unroll
    for (int n = 0; n < 8; ++n) {
      top = larger(top, larger(magnitude(G[n][0]), magnitude(G[n][1])));
      bottom = larger(bottom, larger(magnitude(G[n][2]), magnitude(G[n][3])));
    }
    top = warp_largest<4>(top);
    bottom = warp_largest<4>(bottom);
    const float G_unit[2] = {power_scale(top, kStoreAim), power_scale(bottom, kStoreAim)};
    const float G_inverse[2] = {inverse_power(G_unit[0]), inverse_power(G_unit[1])};
    uint32_t a[4][4];
#pragma unroll
    for (int k = 0; k < 4; ++k)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float* x = &G[2 * k + i / 2][i % 2 * 2];
        a[k][i] = pack_half2(x[0] * G_inverse[i % 2], x[1] * G_inverse[i % 2]);
        *reinterpret_cast<uint32_t*>(kept + i % 2 * 8 * kHead + (2 * k + i / 2) * 64) = a[k][i];
      }
    if (lane % 4 == 0) {
      kept_scale[0] = top == 0 ? 0.0f : G_unit[0];
      kept_scale[8] = bottom == 0 ? 0.0f : G_unit[1];
    }
    kept -= kSquare;
    kept_scale -= kHead;

    // dY^T Q, rows of dY^T scaled by themselves.
    const float Q_unit = fmaxf(s.scale[kScaleQ], s.scale[kScaleQ + 1]), Q_inverse = inverse_power(Q_unit);
    float2 y[2][4];
    top = bottom = 0;
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      uint32_t raw[4];
      a_of_transpose<Swizzled<kHead>>(raw, reinterpret_cast<const __half*>(s.dy), 16 * k, row);
      const float by = s.scale[kScaleQ + k] * Q_inverse;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        y[k][i] = pair_of<T>(raw[i]);
        y[k][i].x *= by;
        y[k][i].y *= by;
        uint32_t& most = i % 2 == 0 ? top : bottom;
        most = larger(most, larger(magnitude(y[k][i].x), magnitude(y[k][i].y)));
      }
    }
    const float y_unit[2] = {power_scale(warp_largest<4>(top), 0), power_scale(warp_largest<4>(bottom), 0)};
    const float y_inverse[2] = {inverse_power(y_unit[0]), inverse_power(y_unit[1])};
    float sum[8][4] = {};
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      uint32_t ya[4];
#pragma unroll
      for (int i = 0; i < 4; ++i) ya[i] = pack_half2(y[k][i].x * y_inverse[i % 2], y[k][i].y * y_inverse[i % 2]);
      multiply<Blocked>(sum, ya, s.Q, 16 * k, 0);
    }
#pragma unroll
    for (int n = 0; n < 8; ++n) {
      const float2 decay = *reinterpret_cast<const float2*>(s.decay + acc_column(n, 0));
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        G[n][e] = G[n][e] * (e % 2 == 0 ? decay.x : decay.y) + sum[n][e] * (y_unit[e / 2] * Q_unit);
        sum[n][e] = 0;
      }
    }
#pragma unroll
    for (int k = 0; k < 4; ++k) multiply_transpose<Blocked>(sum, a[k], s.E, 0, 16 * k);
#pragma unroll
    for (int n = 0; n < 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) G[n][e] += sum[n][e] * (G_unit[e / 2] * s.scale[kScaleE]);
  }

  if (p.dstate_in) {
#pragma unroll
    for (int n = 0; n < 8; ++n)
#pragma unroll
      for (int e = 0; e < 4; e += 2)
        *reinterpret_cast<float2*>(p.dstate_in + head * kSquare + (row + acc_row(e)) * kHead + acc_column(n, e)) =
            float2{G[n][e], G[n][e + 1]};
  }
}

}  // namespace

void reverse_scan(const Exec& ex, const Wkv7Backward& a, const Maps& maps, const States& after) {
  const int64_t heads = a.r.shape[0] * a.r.shape[2];
  const auto launch_for = [&]<class T, int WARPS>() {
    const ReverseScan<T> p{.dy = a.dy.as<T>(),
                           .maps = maps,
                           .dstate_out = maybe<float>(a.dstate_out),
                           .dstate_in = maybe<float>(a.dstate_in),
                           .after = after,
                           .s = sequences(a.r.shape, a.resets)};
    launch(ex, reverse_scan_kernel<T, WARPS>,
           {.grid = dim3(static_cast<unsigned>(heads * (4 / WARPS))), .block = dim3(32 * WARPS), .shared = kScanStages * sizeof(ScanStage)},
           p);
  };
  // Few heads are cut, so that every multiprocessor has work; E and Q are then read again from the cache.
  const auto launch_slices = [&]<class T>() {
    if (heads >= 256) return launch_for.template operator()<T, 4>();
    if (heads >= 128) return launch_for.template operator()<T, 2>();
    launch_for.template operator()<T, 1>();
  };
  if (a.r.dtype == DType::f16) return launch_slices.operator()<__half>();
  launch_slices.operator()<__nv_bfloat16>();
}

}  // namespace rk::cuda::wkv7
