#include "kernels/wkv7/chunk_maps.h"
#include "kernels/wkv7/chunked_cuda.h"

namespace rk::cuda::wkv7 {
namespace {

template <class T>
struct Args {
  Maps maps;
  Sequences s;
  T* y;
  const float* state_in;
  float* state_out;
  States saved;  // null when nothing is saved
};

// What a chunk's step needs from all threads' point of view.
struct Stage {
  __half E[kSquare], Q[kStrip];
  float decay[kHead], scale[kScales];
};
constexpr int kStages = 3;

// BYTES as often as there are threads, without a loop: places are known but for the thread.
template <int THREADS, int BYTES>
__device__ __forceinline__ void fetch(void* to, const void* from) {
  constexpr int step = THREADS * 16;
  const int at = static_cast<int>(threadIdx.x) * 16;
#pragma unroll
  for (int i = 0; i < BYTES / step; ++i)
    copy_async_16(static_cast<char*>(to) + at + i * step, static_cast<const char*>(from) + at + i * step, true);
  if (BYTES % step != 0 && at < BYTES % step)
    copy_async_16(static_cast<char*>(to) + at + BYTES / step * step, static_cast<const char*>(from) + at + BYTES / step * step, true);
}
template <int THREADS>
__device__ __forceinline__ void fetch(Stage& s, const Maps& m, int64_t index) {
  fetch<THREADS, kSquare * 2>(s.E, m.e + index * kSquare);
  fetch<THREADS, kStrip * 2>(s.Q, m.q + index * kStrip);
  fetch<THREADS, kHead * 4>(s.decay, m.decay + index * kHead);
  fetch<THREADS, kScales * 4>(s.scale, m.scale + index * kScales);
}

template <class T>
__device__ __forceinline__ uint32_t pack2(float low, float high) {
  Pack<T, 2> p;
  p.x[0] = from_float<T>(low);
  p.x[1] = from_float<T>(high);
  return *reinterpret_cast<const uint32_t*>(&p);
}

// What only this warp's 16 value rows need of a chunk: straight from memory into accumulator places, a step ahead.
struct Ahead {
  uint32_t d[8][2], y0[2][2][2];  // D [column tile][row half];  Y0 [token slab][row half][column tile]

  __device__ __forceinline__ void load_d(const Maps& m, int64_t index, int row) {
#pragma unroll
    for (int n = 0; n < 8; ++n) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        d[n][h] = acc_pair<Blocked>(static_cast<const __half*>(m.d) + index * kSquare, row, 0, n, 2 * h);
      }
    }
  }
  __device__ __forceinline__ void load_y0(const Maps& m, int64_t index, int row) {
#pragma unroll
    for (int slab = 0; slab < 2; ++slab) {
#pragma unroll
      for (int h = 0; h < 2; ++h) {
#pragma unroll
        for (int n = 0; n < 2; ++n) {
          y0[slab][h][n] = acc_pair<Blocked>(static_cast<const __half*>(m.y0) + index * kStrip, slab * 16, row, n, 2 * h);
        }
      }
    }
  }
};

// A warp owns 16 value rows of one head's state in registers (rows never mix); SLABS warps of a block share the chunks' E and Q.
// Moves per chunk and head E 8, D 8, Q 4, Y0 4 KiB in, y 4 and saved states 8 KiB out; E and Q again for every further block of the head.
template <class T, int SLABS>
__global__ void __launch_bounds__(SLABS * 32) scan(Args<T> p) {
  constexpr int threads = SLABS * 32, parts = 4 / SLABS;
  auto* stages = shared_memory<Stage>();
  const int64_t head = blockIdx.x / parts;
  const int row = (static_cast<int>(blockIdx.x) % parts * SLABS + warp_index()) * 16;  // first of this warp's
  const int lane = lane_index(), q = lane % 4;
  const int64_t first = head * p.s.n_chunks;

  float S[8][4];
#pragma unroll
  for (int n = 0; n < 8; ++n) {
#pragma unroll
    for (int e = 0; e < 4; ++e) S[n][e] = p.state_in ? p.state_in[head * kSquare + (row + acc_row(e)) * kHead + acc_column(n, e)] : 0.0f;
  }
#pragma unroll
  for (int c = 0; c < kStages - 1; ++c) {
    if (c < p.s.n_chunks) fetch<threads>(stages[c], p.maps, first + c);
    copy_async_commit();
  }
  Ahead ahead;
  ahead.load_d(p.maps, first, row);
  ahead.load_y0(p.maps, first, row);

  for (int chunk = 0; chunk < p.s.n_chunks; ++chunk) {
    const int64_t index = first + chunk;
    copy_async_wait<kStages - 2>();
    __syncthreads();  // this chunk's stage is filled, the last chunk's is free
    if (chunk + kStages - 1 < p.s.n_chunks) fetch<threads>(stages[(chunk + kStages - 1) % kStages], p.maps, index + kStages - 1);
    copy_async_commit();
    const Stage& stage = stages[chunk % kStages];
    const bool more = chunk + 1 < p.s.n_chunks;

    // The state in fp16, every row with its own scale: operand of both products, and what is saved.
    float scale[2], saved_scale[2];  // of rows g and g + 8
    uint32_t s16[8][2];
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      Largest own;
#pragma unroll
      for (int n = 0; n < 8; ++n) {
        own.see(S[n][2 * h]);
        own.see(S[n][2 * h + 1]);
      }
      const uint32_t m = warp_largest<4>(own.magnitude());
      scale[h] = power_scale(m, kStoreAim);
      saved_scale[h] = m == 0 ? 0.0f : scale[h];
      const float inverse = inverse_scale(scale[h]);
#pragma unroll
      for (int n = 0; n < 8; ++n) s16[n][h] = pack_half2(S[n][2 * h] * inverse, S[n][2 * h + 1] * inverse);
    }
    if (p.saved.number) {
#pragma unroll
      for (int n = 0; n < 8; ++n) {
#pragma unroll
        for (int h = 0; h < 2; ++h) {
          *acc_pair<Blocked>(p.saved.number + index * kSquare, row, 0, n, 2 * h) = s16[n][h];
        }
      }
      if (q == 0) {
#pragma unroll
        for (int h = 0; h < 2; ++h) p.saved.row_scale[index * kHead + row + acc_row(2 * h)] = saved_scale[h];
      }
    }

    // y = Q S^T + Y0. Columns of the product are value rows: their scales come from the lanes that hold these rows.
    float scale_of_column[2][2];
#pragma unroll
    for (int n = 0; n < 2; ++n) {
#pragma unroll
      for (int e = 0; e < 2; ++e) scale_of_column[n][e] = __shfl_sync(kWholeWarp, scale[n], (2 * q + e) * 4);
    }
    const ChunkRows rows = chunk_rows(p.s, head, chunk);
#pragma unroll
    for (int slab = 0; slab < 2; ++slab) {
      float y[2][4] = {};
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        uint32_t a[4];
        a_of<Blocked>(a, stage.Q, slab * 16, k * 16);
#pragma unroll
        for (int n = 0; n < 2; ++n) {
          const uint32_t b[2] = {s16[2 * k][n], s16[2 * k + 1][n]};
          mma(y[n], a, b, static_cast<const __half*>(nullptr));
        }
      }
      const float scale_q = stage.scale[kScaleQ + slab], scale_y0 = stage.scale[kScaleY0 + slab];
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        uint32_t out[2];
#pragma unroll
        for (int n = 0; n < 2; ++n) {
          float y0[2];
          unpack_half2(y0[0], y0[1], ahead.y0[slab][h][n]);
#pragma unroll
          for (int e = 0; e < 2; ++e) y0[e] = y[n][2 * h + e] * (scale_q * scale_of_column[n][e]) + y0[e] * scale_y0;
          out[n] = pack2<T>(y0[0], y0[1]);
        }
        // Neighbours trade, so that each has four consecutive rows: even lanes of the first eight, odd ones of the others.
        const bool odd = q % 2 == 1;
        const uint32_t other = __shfl_xor_sync(kWholeWarp, odd ? out[0] : out[1], 1);
        Pack<uint32_t, 2> four;
        four.x[0] = odd ? other : out[0];
        four.x[1] = odd ? out[1] : other;
        const int t = slab * 16 + acc_row(2 * h), i = row + (odd ? 8 + 2 * (q - 1) : 2 * q);
        if (t < rows.n_tokens) *reinterpret_cast<Pack<uint32_t, 2>*>(p.y + rows.first + t * rows.stride + i) = four;
      }
    }

    if (more) ahead.load_y0(p.maps, index + 1, row);

    // S = S decay + S E + D.
    float product[8][4] = {};
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const uint32_t a[4] = {s16[2 * k][0], s16[2 * k][1], s16[2 * k + 1][0], s16[2 * k + 1][1]};
      multiply<Blocked>(product, a, stage.E, k * 16, 0);
    }
    const float scale_e = stage.scale[kScaleE], scale_d = stage.scale[kScaleD + row / 16];
#pragma unroll
    for (int n = 0; n < 8; ++n) {
      float decay[2];
      load(stage.decay + acc_column(n, 0), decay);
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        float d[2];
        unpack_half2(d[0], d[1], ahead.d[n][h]);
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          float& s = S[n][2 * h + e];
          s = s * decay[e] + (product[n][2 * h + e] * (scale_e * scale[h]) + d[e] * scale_d);
        }
      }
    }
    if (more) ahead.load_d(p.maps, index + 1, row);
  }
  if (p.state_out) {
#pragma unroll
    for (int n = 0; n < 8; ++n) {
#pragma unroll
      for (int e = 0; e < 4; ++e) p.state_out[head * kSquare + (row + acc_row(e)) * kHead + acc_column(n, e)] = S[n][e];
    }
  }
}

template <class T, int SLABS>
void launch_scan(const Exec& ex, const Args<T>& p, int64_t heads) {
  launch(ex, scan<T, SLABS>,
         {.grid = dim3(static_cast<unsigned>(heads * (4 / SLABS))), .block = dim3(SLABS * 32), .shared = kStages * sizeof(Stage)}, p);
}

// Blocks enough to keep memory busy: the fewer heads, the fewer rows to a block. Rows never mix: the result is the same.
template <class T>
void scan_chunks(const Exec& ex, const Args<T>& p, int64_t heads) {
  constexpr int64_t enough = 264;  // two for each of a large chip's multiprocessors
  if (heads >= enough) return launch_scan<T, 4>(ex, p, heads);
  if (2 * heads >= enough) return launch_scan<T, 2>(ex, p, heads);
  launch_scan<T, 1>(ex, p, heads);
}

template <class T>
void run_forward(const Exec& ex, const Wkv7Forward& a, const Maps& maps) {
  const Shape& s = a.r.shape;
  const States saved = a.saved_states ? saved_states(a.saved_states.data, count_chunks(s)) : States{};
  scan_chunks<T>(ex, {maps, sequences(s, a.resets), a.y.as<T>(), maybe<float>(a.state_in), maybe<float>(a.state_out), saved}, s[0] * s[2]);
}

}  // namespace

void run_chunked(const Exec& ex, const Wkv7Forward& a) {
  ArenaScope scope(*ex.scratch);
  const Maps maps = take_maps(*ex.scratch, count_chunks(a.r.shape), true);
  if (ex.dry()) return;
  make_maps(ex, {a.r, a.w, a.k, a.v, a.a, a.b, a.resets}, maps);
  if (a.r.dtype == DType::f16) return run_forward<__half>(ex, a, maps);
  run_forward<__nv_bfloat16>(ex, a, maps);
}

}  // namespace rk::cuda::wkv7
