#include "kernels/wkv6/plain_cuda.cuh"

namespace rk::cuda::wkv6 {
namespace {

constexpr int kRows = 8, kLanes = 8;  // a block's value rows, and threads per row

template <class T>
struct Args {
  const T *r, *k, *v, *u;
  RawDecay<T> w;
  T* y;
  const float* state_in;
  float *state_out, *saved;
  const uint8_t* resets;
  PlainSizes s;
};

// Thread: one value row, columns lane, lane + 8, ... (at most 8 M). Every block reads its head's r, w, k; the other blocks of the head
// find them in the second cache.
template <class T, int M>
__global__ void __launch_bounds__(kRows* kLanes) plain_forward(Args<T> p) {
  constexpr int threads = kRows * kLanes;
  const int N = p.s.N, blocks = N / kRows;
  const int64_t head = blockIdx.x / blocks;
  const int first_row = static_cast<int>(blockIdx.x) % blocks * kRows;
  const int thread = static_cast<int>(threadIdx.x), row = thread / kLanes, lane = thread % kLanes;
  auto* shared = shared_memory<float>();
  float *r = shared, *d = r + kPlainTokens * N, *k = d + kPlainTokens * N, *v = k + kPlainTokens * N, *y = v + kPlainTokens * kRows;
  const int64_t state_row = head * N * N + static_cast<int64_t>(first_row + row) * N;
  float S[M], u[M];
#pragma unroll
  for (int m = 0; m < M; ++m) {
    const int j = lane + m * kLanes;
    S[m] = p.state_in && j < N ? p.state_in[state_row + j] : 0.0f;
    u[m] = j < N ? to_float(p.u[head % p.s.H * N + j]) : 0.0f;
  }
  for (int chunk = 0; chunk < p.s.n_chunks(); ++chunk) {
    const int64_t first = p.s.first(head, chunk);
    const int n = p.s.tokens(chunk);
    if (p.saved) {
      float* to = p.saved + ((head * p.s.n_chunks() + chunk) * N + first_row + row) * N;
#pragma unroll
      for (int m = 0; m < M; ++m) {
        if (lane + m * kLanes < N) to[lane + m * kLanes] = S[m];
      }
    }
    for (int i = thread; i < n * N; i += threads) {
      const int64_t at = first + i / N * p.s.stride() + i % N;
      r[i] = to_float(p.r[at]);
      d[i] = decay_of(p.w.at(at, p.s.stride()));
      k[i] = to_float(p.k[at]);
    }
    for (int i = thread; i < n * kRows; i += threads) {
      v[i] = to_float(p.v[first + i / kRows * p.s.stride() + first_row + i % kRows]);
    }
    __syncthreads();
    for (int t = 0; t < n; ++t) {
      const bool cut = p.resets && p.resets[p.s.token(head, chunk, t)];
      const float v_t = v[t * kRows + row];
      float out = 0;
#pragma unroll
      for (int m = 0; m < M; ++m) {
        const int j = t * N + lane + m * kLanes;
        if (lane + m * kLanes < N) {
          if (cut) S[m] = 0;
          const float kv = k[j] * v_t;
          out += r[j] * (S[m] + u[m] * kv);
          S[m] = S[m] * d[j] + kv;
        }
      }
      out = warp_sum<kLanes>(out);
      if (lane == 0) y[t * kRows + row] = out;
    }
    __syncthreads();
    for (int i = thread; i < n * kRows; i += threads) {
      p.y[first + i / kRows * p.s.stride() + first_row + i % kRows] = from_float<T>(y[i]);
    }
    __syncthreads();
  }
  if (p.state_out) {
#pragma unroll
    for (int m = 0; m < M; ++m) {
      if (lane + m * kLanes < N) p.state_out[state_row + lane + m * kLanes] = S[m];
    }
  }
}

}  // namespace

void run_plain(const Exec& ex, const Wkv6Forward& a) {
  if (ex.dry()) return;
  with_dtype(a.r.dtype, [&]<class T>() {
    const Shape& s = a.r.shape;
    const Args<T> p{a.r.as<T>(),
                    a.k.as<T>(),
                    a.v.as<T>(),
                    a.u.as<T>(),
                    RawDecay<T>(a.w),
                    a.y.as<T>(),
                    maybe<float>(a.state_in),
                    maybe<float>(a.state_out),
                    maybe<float>(a.saved_states),
                    reset_flags(a.resets),
                    PlainSizes(s)};
    const int64_t N = s[3];
    const Launch l{.grid = dim3(static_cast<unsigned>(s[0] * s[2] * (N / kRows))),
                   .block = dim3(kRows * kLanes),
                   .shared = static_cast<size_t>(kPlainTokens * (3 * N + 2 * kRows)) * sizeof(float)};
    if (N <= 64) return launch(ex, plain_forward<T, 8>, l, p);
    launch(ex, plain_forward<T, 32>, l, p);
  });
}

}  // namespace rk::cuda::wkv6
