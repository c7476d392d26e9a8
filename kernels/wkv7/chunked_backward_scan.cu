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

template <class T, int WARPS>
__device__ __forceinline__ void fetch(ScanStage& to, const ReverseScan<T>& p, int64_t head, int chunk, int first_row) {
  constexpr int threads = 32 * WARPS;
  const int thread = static_cast<int>(threadIdx.x);
  const int64_t index = head * p.s.n_chunks + chunk;
#pragma unroll
  for (int i = 0; i < kSquare / 8 / threads; ++i) {
    const int at = (thread + i * threads) * 8;
    copy_async_16(to.E + at, p.maps.e + index * kSquare + at, true);
  }
#pragma unroll
  for (int i = 0; i < kStrip / 8 / threads; ++i) {
    const int at = (thread + i * threads) * 8;
    copy_async_16(to.Q + at, p.maps.q + index * kStrip + at, true);
  }
  const ChunkRows rows = chunk_rows(p.s, head, chunk);
  constexpr int pieces = 2 * WARPS;  // of a token's rows of G
#pragma unroll
  for (int i = 0; i < kTokens * pieces / threads; ++i) {
    const int t = (thread + i * threads) / pieces, column = first_row + (thread + i * threads) % pieces * 8;
    copy_async_16(to.dy + Swizzled<kHead>::at(t, column), p.dy + rows.first + t * rows.stride + column, t < rows.n_tokens);
  }
  if (thread < 16) copy_async_16(to.decay + thread * 4, p.maps.decay + index * kHead + thread * 4, true);
  if (thread >= 16 && thread < 16 + kScales / 4)
    copy_async_16(to.scale + (thread - 16) * 4, p.maps.scale + index * kScales + (thread - 16) * 4, true);
}

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
#pragma unroll
  for (int i = 0; i < kScanStages - 1; ++i) {
    if (n_chunks - 1 - i >= 0) fetch<T, WARPS>(stages[i], p, head, n_chunks - 1 - i, first_row);
    copy_async_commit();
  }
  int slot = 0;
  for (int chunk = n_chunks - 1; chunk >= 0; --chunk) {
    copy_async_wait<kScanStages - 2>();
    __syncthreads();  // this chunk has arrived, and the chunk behind it is done with
    {
      const int next = chunk - (kScanStages - 1), free = slot == 0 ? kScanStages - 1 : slot - 1;
      if (next >= 0) fetch<T, WARPS>(stages[free], p, head, next, first_row);
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
    const float G_inverse[2] = {1 / G_unit[0], 1 / G_unit[1]};
    const int64_t index = head * n_chunks + chunk;
    uint32_t a[4][4];
#pragma unroll
    for (int k = 0; k < 4; ++k)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float* x = &G[2 * k + i / 2][i % 2 * 2];
        a[k][i] = pack_half2(x[0] * G_inverse[i % 2], x[1] * G_inverse[i % 2]);
        *reinterpret_cast<uint32_t*>(p.after.number + index * kSquare + blocked(row + acc_row(i % 2 * 2), acc_column(2 * k + i / 2, 0))) =
            a[k][i];
      }
    if (lane % 4 == 0) {
      p.after.row_scale[index * kHead + row + acc_row(0)] = top == 0 ? 0.0f : G_unit[0];
      p.after.row_scale[index * kHead + row + acc_row(2)] = bottom == 0 ? 0.0f : G_unit[1];
    }

    // dY^T Q, rows of dY^T scaled by themselves.
    const float Q_unit = fmaxf(s.scale[kScaleQ], s.scale[kScaleQ + 1]), Q_inverse = 1 / Q_unit;
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
    const float y_inverse[2] = {1 / y_unit[0], 1 / y_unit[1]};
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
                           .s = sequences(a.r.shape)};
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
