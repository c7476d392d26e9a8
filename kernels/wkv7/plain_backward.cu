#include "kernels/wkv7/plain_cuda.cuh"

namespace rk::cuda::wkv7 {
namespace {

template <class T>
struct Args {
  const T *r, *w, *k, *v, *a, *b, *dy;
  const float *saved, *dstate_out;
  T *dr, *dw, *dk, *dv, *da, *db;
  float* dstate_in;
  const T *dr_more, *dk_more, *dv_more;  // may be dr, dk, dv
  const uint8_t* resets;
  float* states;  // per block: S before tokens 1, 2, ... of a chunk, as the threads hold it
  PlainSizes s;
  int64_t n_heads;
};

template <class T>
__device__ __forceinline__ float with_more(const T* more, int64_t at, float x) {
  return more ? x + to_float(more[at]) : x;
}

// A block works on whole heads. SIDE x SIDE threads: thread (y, x) holds rows y + SIDE u and columns x + SIDE m of S and G (u, m < E), so
// that sums over columns stay inside a warp. Sums over rows, ROUND of them at a time, go through shared memory.
enum ColumnSum { kDr, kDk, kDb, kDa, kDdecay, kColumnSums };

template <class T, int SIDE, int E, int ROUND>
__global__ void __launch_bounds__(SIDE* SIDE) plain_backward(Args<T> p) {
  constexpr int threads = SIDE * SIDE, warps = threads / 32, wide = SIDE * E;
  const int N = p.s.N, thread = static_cast<int>(threadIdx.x), x = thread % SIDE, y = thread / SIDE;
  auto* shared = shared_memory<float>();
  constexpr int strip = kPlainTokens * wide;
  float *r = shared, *d = r + strip, *k = d + strip, *v = k + strip, *a = v + strip, *b = a + strip, *dy = b + strip, *sa = dy + strip;
  float* part = sa + strip;  // [ROUND][warps][wide]
  float* own_states = p.states + static_cast<int64_t>(blockIdx.x) * kPlainTokens * wide * wide + thread;
  const auto state_at = [&](int t, int u, int m) -> float& { return own_states[((t * E + u) * E + m) * threads]; };

  for (int64_t head = blockIdx.x; head < p.n_heads; head += gridDim.x) {
    const auto in_square = [&](int u, int m) { return static_cast<int64_t>(y + u * SIDE) * N + x + m * SIDE; };
    const auto inside = [&](int u, int m) { return y + u * SIDE < N && x + m * SIDE < N; };
    float S[E][E], G[E][E];
#pragma unroll
    for (int u = 0; u < E; ++u) {
#pragma unroll
      for (int m = 0; m < E; ++m) G[u][m] = p.dstate_out && inside(u, m) ? p.dstate_out[head * N * N + in_square(u, m)] : 0.0f;
    }
    for (int chunk = p.s.n_chunks() - 1; chunk >= 0; --chunk) {
      const int64_t first = p.s.first(head, chunk);
      const int n = p.s.tokens(chunk);
      __syncthreads();
      for (int i = thread; i < n * wide; i += threads) {
        const int j = i % wide;
        const bool real = j < N;
        const int64_t at = first + i / wide * p.s.stride() + (real ? j : 0);
        r[i] = real ? to_float(p.r[at]) : 0.0f;
        d[i] = real ? decay_of(to_float(p.w[at])) : 0.0f;
        k[i] = real ? to_float(p.k[at]) : 0.0f;
        v[i] = real ? to_float(p.v[at]) : 0.0f;
        a[i] = real ? to_float(p.a[at]) : 0.0f;
        b[i] = real ? to_float(p.b[at]) : 0.0f;
        dy[i] = real ? to_float(p.dy[at]) : 0.0f;
      }
      __syncthreads();
      const float* start = p.saved + (head * p.s.n_chunks() + chunk) * N * N;
      const auto load_start = [&] {
#pragma unroll
        for (int u = 0; u < E; ++u) {
#pragma unroll
          for (int m = 0; m < E; ++m) S[u][m] = inside(u, m) ? start[in_square(u, m)] : 0.0f;
        }
      };
      const auto step = [&](int t, int u, int m) {  // element of S after token t from before it
        const int i = t * wide + y + u * SIDE, j = t * wide + x + m * SIDE;
        return S[u][m] * d[j] + (sa[i] * b[j] + v[i] * k[j]);
      };
      const auto begins = [&](int t) { return p.resets && p.resets[p.s.token(head, chunk, t)]; };
      load_start();
      for (int t = 0; t < n; ++t) {
        const bool cut = begins(t);
#pragma unroll
        for (int u = 0; u < E; ++u) {
          float sum = 0;
#pragma unroll
          for (int m = 0; m < E; ++m) {
            if (t > 0) state_at(t, u, m) = S[u][m];  // not cut: it is also S after the token before
            if (cut) S[u][m] = 0;
            sum += S[u][m] * a[t * wide + x + m * SIDE];
          }
          sum = warp_sum<SIDE>(sum);
          if (x == 0) sa[t * wide + y + u * SIDE] = sum;
        }
        __syncwarp();
#pragma unroll
        for (int u = 0; u < E; ++u) {
#pragma unroll
          for (int m = 0; m < E; ++m) S[u][m] = step(t, u, m);
        }
      }
      for (int t = n - 1; t >= 0; --t) {
        const int64_t token = first + t * p.s.stride();
        float sums[kColumnSums][E] = {};
#pragma unroll
        for (int m = 0; m < E; ++m) {  // S is still what it was after token t
#pragma unroll
          for (int u = 0; u < E; ++u) sums[kDr][m] += S[u][m] * dy[t * wide + y + u * SIDE];
        }
        if (t == 0) load_start();
        const bool cut = begins(t);
#pragma unroll
        for (int u = 0; u < E; ++u) {
          const int i = t * wide + y + u * SIDE;
          float dv = 0, dsa = 0;
#pragma unroll
          for (int m = 0; m < E; ++m) {
            const int j = t * wide + x + m * SIDE;
            if (t > 0) S[u][m] = state_at(t, u, m);
            G[u][m] += dy[i] * r[j];
            dv += G[u][m] * k[j];
            dsa += G[u][m] * b[j];
          }
          dv = warp_sum<SIDE>(dv);
          dsa = warp_sum<SIDE>(dsa);
          if (x == 0 && y + u * SIDE < N) {
            const int64_t at = token + y + u * SIDE;
            p.dv[at] = from_float<T>(with_more(p.dv_more, at, dv));
          }
#pragma unroll
          for (int m = 0; m < E; ++m) {
            const int j = t * wide + x + m * SIDE;
            sums[kDk][m] += G[u][m] * v[i];
            sums[kDb][m] += G[u][m] * sa[i];
            const float before = cut ? 0.0f : S[u][m];
            sums[kDdecay][m] += G[u][m] * before;
            sums[kDa][m] += before * dsa;
            G[u][m] = G[u][m] * d[j] + dsa * a[j];
            if (cut) G[u][m] = 0;
          }
        }
#pragma unroll
        for (int from = 0; from < kColumnSums; from += ROUND) {
          __syncthreads();
#pragma unroll
          for (int q = from; q < from + ROUND; ++q) {
#pragma unroll
            for (int m = 0; m < E; ++m) {
              float sum = sums[q][m];
              if (SIDE == 16) sum += __shfl_xor_sync(kWholeWarp, sum, 16);
              if (thread % 32 < SIDE) part[((q - from) * warps + thread / 32) * wide + x + m * SIDE] = sum;
            }
          }
          __syncthreads();
          for (int i = thread; i < ROUND * wide; i += threads) {
            const int q = from + i / wide, j = i % wide;
            if (j >= N) continue;
            float sum = 0;
            for (int w = 0; w < warps; ++w) sum += part[(i / wide * warps + w) * wide + j];
            const int64_t at = token + j;
            if (q == kDr) p.dr[at] = from_float<T>(with_more(p.dr_more, at, sum));
            if (q == kDk) p.dk[at] = from_float<T>(with_more(p.dk_more, at, sum));
            if (q == kDb) p.db[at] = from_float<T>(sum);
            if (q == kDa) p.da[at] = from_float<T>(sum);
            if (q == kDdecay) p.dw[at] = from_float<T>(sum * decay_slope(to_float(p.w[at])));
          }
        }
      }
    }
    if (p.dstate_in) {
#pragma unroll
      for (int u = 0; u < E; ++u) {
#pragma unroll
        for (int m = 0; m < E; ++m) {
          if (inside(u, m)) p.dstate_in[head * N * N + in_square(u, m)] = G[u][m];
        }
      }
    }
  }
}

template <class T, int SIDE, int E, int ROUND>
void run_wide(const Exec& ex, const Wkv7Backward& a) {
  constexpr int64_t wide = SIDE * E;
  const Shape& s = a.r.shape;
  const int64_t n_heads = s[0] * s[2];
  const int64_t n_blocks = std::min<int64_t>(n_heads, wide <= 64 ? 264 : 132);
  ArenaScope scope(*ex.scratch);
  const Tensor states = ex.scratch->take(DType::f32, {n_blocks, kPlainTokens, wide, wide});
  if (ex.dry()) return;
  const Args<T> p{a.r.as<T>(),
                  a.w.as<T>(),
                  a.k.as<T>(),
                  a.v.as<T>(),
                  a.a.as<T>(),
                  a.b.as<T>(),
                  a.dy.as<T>(),
                  a.saved_states.as<float>(),
                  maybe<float>(a.dstate_out),
                  a.dr.as<T>(),
                  a.dw.as<T>(),
                  a.dk.as<T>(),
                  a.dv.as<T>(),
                  a.da.as<T>(),
                  a.db.as<T>(),
                  maybe<float>(a.dstate_in),
                  maybe<T>(a.dr_more),
                  maybe<T>(a.dk_more),
                  maybe<T>(a.dv_more),
                  reset_flags(a.resets),
                  states.as<float>(),
                  PlainSizes(s),
                  n_heads};
  constexpr int warps = SIDE * SIDE / 32;
  const Launch l{.grid = dim3(static_cast<unsigned>(n_blocks)),
                 .block = dim3(SIDE * SIDE),
                 .shared = static_cast<size_t>((8 * kPlainTokens + ROUND * warps) * wide) * sizeof(float)};
  launch(ex, plain_backward<T, SIDE, E, ROUND>, l, p);
}

}  // namespace

void run_plain(const Exec& ex, const Wkv7Backward& a) {
  with_dtype(a.r.dtype, [&]<class T>() {
    const int64_t N = a.r.shape[3];
    if (N <= 64) return run_wide<T, 16, 4, 5>(ex, a);
    if (N <= 128) return run_wide<T, 32, 4, 5>(ex, a);
    run_wide<T, 32, 8, 1>(ex, a);
  });
}

}  // namespace rk::cuda::wkv7
