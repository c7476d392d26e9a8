#include "kernels/common/partials.cuh"
#include "kernels/wkv6/plain_cuda.cuh"

namespace rk::cuda::wkv6 {
namespace {

template <class T>
struct Args {
  const T *r, *k, *v, *u, *dy;
  RawDecay<T> w;
  const float *saved, *dstate_out;
  T *dr, *dk, *dv, *dw;  // dw null: summed over tokens
  float* dstate_in;
  const uint8_t* resets;
  float* states;  // [blocks][tokens of a chunk][wide][wide]
  float* sums;    // [B][2][H][N]: du, dw
  PlainSizes s;
  int64_t n_heads;
};
enum ColumnSum { kDr, kDk, kDdecay, kColumnSums };

// Thread (y, x) of SIDE x SIDE holds rows y + u SIDE and columns x + m SIDE of S and of its gradient G. Column sums go through shared
// memory, ROUND of them at a time.
template <class T, int SIDE, int E, int ROUND>
__global__ void __launch_bounds__(SIDE* SIDE) plain_backward(Args<T> p) {
  constexpr int threads = SIDE * SIDE, warps = threads / 32, wide = SIDE * E, strip = kPlainTokens * wide;
  const int N = p.s.N, thread = static_cast<int>(threadIdx.x), x = thread % SIDE, y = thread / SIDE;
  auto* shared = shared_memory<float>();
  float *r = shared, *d = r + strip, *k = d + strip, *v = k + strip, *dy = v + strip;
  float *u = dy + strip, *with_v = u + wide, *with_k = with_v + kPlainTokens;  // sums dy v and r u k of every token
  float* part = with_k + kPlainTokens;                                         // [ROUND][warps][wide]
  float* own_states = p.states + static_cast<int64_t>(blockIdx.x) * kPlainTokens * wide * wide + thread;
  const auto state_at = [&](int t, int a, int m) -> float& { return own_states[((t * E + a) * E + m) * threads]; };

  for (int64_t head = blockIdx.x; head < p.n_heads; head += gridDim.x) {
    const auto in_square = [&](int a, int m) { return static_cast<int64_t>(y + a * SIDE) * N + x + m * SIDE; };
    const auto inside = [&](int a, int m) { return y + a * SIDE < N && x + m * SIDE < N; };
    float S[E][E], G[E][E];
#pragma unroll
    for (int a = 0; a < E; ++a) {
#pragma unroll
      for (int m = 0; m < E; ++m) G[a][m] = p.dstate_out && inside(a, m) ? p.dstate_out[head * N * N + in_square(a, m)] : 0.0f;
    }
    float du = 0, dw = 0;  // of channel `thread`
    for (int chunk = p.s.n_chunks() - 1; chunk >= 0; --chunk) {
      const int64_t first = p.s.first(head, chunk);
      const int n = p.s.tokens(chunk);
      __syncthreads();
      for (int i = thread; i < n * wide; i += threads) {
        const int j = i % wide;
        const bool real = j < N;
        const int64_t at = first + i / wide * p.s.stride() + (real ? j : 0);
        r[i] = real ? to_float(p.r[at]) : 0.0f;
        d[i] = real ? decay_of(p.w.at(at, p.s.stride())) : 0.0f;
        k[i] = real ? to_float(p.k[at]) : 0.0f;
        v[i] = real ? to_float(p.v[at]) : 0.0f;
        dy[i] = real ? to_float(p.dy[at]) : 0.0f;
      }
      for (int j = thread; j < wide; j += threads) u[j] = j < N ? to_float(p.u[head % p.s.H * N + j]) : 0.0f;
      __syncthreads();
      for (int t = thread / 32; t < n; t += warps) {
        float sum_v = 0, sum_k = 0;
        for (int j = thread % 32; j < N; j += 32) {
          sum_v += dy[t * wide + j] * v[t * wide + j];
          sum_k += r[t * wide + j] * u[j] * k[t * wide + j];
        }
        sum_v = warp_sum(sum_v);
        sum_k = warp_sum(sum_k);
        if (thread % 32 == 0) with_v[t] = sum_v, with_k[t] = sum_k;
      }
      const auto begins = [&](int t) { return p.resets && p.resets[p.s.token(head, chunk, t)]; };
      const float* start = p.saved + (head * p.s.n_chunks() + chunk) * N * N;
#pragma unroll
      for (int a = 0; a < E; ++a) {
#pragma unroll
        for (int m = 0; m < E; ++m) S[a][m] = inside(a, m) ? start[in_square(a, m)] : 0.0f;
      }
      for (int t = 0; t < n; ++t) {
        const bool cut = begins(t);
#pragma unroll
        for (int a = 0; a < E; ++a) {
          const int i = t * wide + y + a * SIDE;
#pragma unroll
          for (int m = 0; m < E; ++m) {
            const int j = t * wide + x + m * SIDE;
            if (cut) S[a][m] = 0;
            state_at(t, a, m) = S[a][m];
            S[a][m] = S[a][m] * d[j] + v[i] * k[j];
          }
        }
      }
      __syncthreads();
      for (int t = n - 1; t >= 0; --t) {
        const int64_t token = first + t * p.s.stride();
        const bool cut = begins(t);
        float sums[kColumnSums][E] = {};
#pragma unroll
        for (int a = 0; a < E; ++a) {
          const int i = t * wide + y + a * SIDE;
          float dv = 0;
#pragma unroll
          for (int m = 0; m < E; ++m) {
            const int j = t * wide + x + m * SIDE;
            const float before = state_at(t, a, m);
            dv += G[a][m] * k[j];
            sums[kDr][m] += before * dy[i];
            sums[kDk][m] += G[a][m] * v[i];
            sums[kDdecay][m] += G[a][m] * before;
            G[a][m] = cut ? 0.0f : G[a][m] * d[j] + dy[i] * r[j];
          }
          dv = warp_sum<SIDE>(dv);
          if (x == 0 && y + a * SIDE < N) p.dv[token + y + a * SIDE] = from_float<T>(dv + with_k[t] * dy[i]);
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
          if (thread >= N) continue;
          const int j = t * wide + thread;
          const int64_t at = token + thread;
#pragma unroll
          for (int q = from; q < from + ROUND; ++q) {
            float sum = 0;
            for (int w = 0; w < warps; ++w) sum += part[((q - from) * warps + w) * wide + thread];
            if (q == kDr) {
              p.dr[at] = from_float<T>(sum + u[thread] * k[j] * with_v[t]);
              du += r[j] * k[j] * with_v[t];
            }
            if (q == kDk) p.dk[at] = from_float<T>(sum + u[thread] * r[j] * with_v[t]);
            if (q == kDdecay) {
              sum *= decay_slope(p.w.at(at, p.s.stride()));
              if (p.dw) p.dw[at] = from_float<T>(sum);
              dw += sum;
            }
          }
        }
      }
    }
    if (thread < N) {
      float* to = p.sums + (head / p.s.H * 2 * p.s.H + head % p.s.H) * N + thread;
      to[0] = du;
      to[p.s.stride()] = dw;
    }
    if (p.dstate_in) {
#pragma unroll
      for (int a = 0; a < E; ++a) {
#pragma unroll
        for (int m = 0; m < E; ++m) {
          if (inside(a, m)) p.dstate_in[head * N * N + in_square(a, m)] = G[a][m];
        }
      }
    }
  }
}

template <class T, int SIDE, int E, int ROUND>
void run_wide(const Exec& ex, const Wkv6Backward& a) {
  constexpr int64_t wide = SIDE * E;
  const Shape& s = a.r.shape;
  const int64_t n_heads = s[0] * s[2];
  const int64_t n_blocks = std::min<int64_t>(n_heads, wide <= 64 ? 264 : 132);
  ArenaScope scope(*ex.scratch);
  const Tensor states = ex.scratch->take(DType::f32, {n_blocks, kPlainTokens, wide, wide});
  const Tensor sums = ex.scratch->take(DType::f32, {s[0], 2, s[2], s[3]});
  if (ex.dry()) return;
  const bool shared_w = a.w.shape.rank == 2;
  const Args<T> p{a.r.as<T>(),
                  a.k.as<T>(),
                  a.v.as<T>(),
                  a.u.as<T>(),
                  a.dy.as<T>(),
                  RawDecay<T>(a.w),
                  a.saved_states.as<float>(),
                  maybe<float>(a.dstate_out),
                  a.dr.as<T>(),
                  a.dk.as<T>(),
                  a.dv.as<T>(),
                  shared_w ? nullptr : a.dw.as<T>(),
                  maybe<float>(a.dstate_in),
                  reset_flags(a.resets),
                  states.as<float>(),
                  sums.as<float>(),
                  PlainSizes(s),
                  n_heads};
  constexpr int warps = SIDE * SIDE / 32;
  const Launch l{.grid = dim3(static_cast<unsigned>(n_blocks)),
                 .block = dim3(SIDE * SIDE),
                 .shared = static_cast<size_t>((5 * kPlainTokens + 1 + ROUND * warps) * wide + 2 * kPlainTokens) * sizeof(float)};
  launch(ex, plain_backward<T, SIDE, E, ROUND>, l, p);
  add_partials(ex, sums.as<float>(), static_cast<int>(s[0]), 2, s[2] * s[3],
               {{maybe<float>(a.du), shared_w ? maybe<float>(a.dw) : nullptr}});
}

}  // namespace

void run_plain(const Exec& ex, const Wkv6Backward& a) {
  with_dtype(a.r.dtype, [&]<class T>() {
    if (a.r.shape[3] <= 64) return run_wide<T, 16, 4, 3>(ex, a);
    run_wide<T, 32, 8, 1>(ex, a);
  });
}

}  // namespace rk::cuda::wkv6
