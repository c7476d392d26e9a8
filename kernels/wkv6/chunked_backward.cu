#include "kernels/common/partials.cuh"
#include "kernels/wkv6/chunk_pairs.cuh"
#include "kernels/wkv6/chunk_states.h"

namespace rk::cuda::wkv6 {
namespace {

constexpr float kLn2 = 0.69314718f, kNothing = -20.0f;

template <class T>
struct Args {
  const T *r, *k, *v, *w, *u, *dy;
  const Half *states, *gradients;  // S and G
  T *dr, *dk, *dv, *dw;            // dw null: summed over tokens
  float* sums;                     // [B][n_chunks][2][H][64]: du, dw of every chunk
  Sequences s;
};

// Numbers of f32, tokens by channels; pairs of neighbours are placed so that neither rows nor columns of accumulators collide in banks.
struct Stage {
  float x[kTokens * kHead];
  __device__ __forceinline__ float2& at(int token, int channel) {
    return *reinterpret_cast<float2*>(x + token * kHead + (channel ^ token % 8 * 8));
  }
  __device__ __forceinline__ void store(const float (&d)[8][4]) {
#pragma unroll
    for (int n = 0; n < 8; ++n) {
#pragma unroll
      for (int e = 0; e < 4; e += 2) at(own_token(acc_row(e)), acc_column(n, 0)) = make_float2(d[n][e], d[n][e + 1]);
    }
  }
};

// By warp and channel, when R is no longer read.
struct Sums {
  Totals crossing, end, du, dw;
};

// So large that two blocks share a multiprocessor.
template <class T>
struct Shared {
  union {
    Half R[2 * kSquare];
    Sums sums;
  };
  Half K[2 * kSquare], V[kParts<T> * kSquare], dY[kParts<T> * kSquare];
  union {
    Half S[2 * kSquare];
    Stage z_r;
  };
  union {
    Half G[2 * kSquare];
    Stage z_k;
  };
  Stage own_r, own_k;  // dr and dk by way of the warp's own tokens
  Totals totals;
};

// Sums over the warp's value rows of S G after the chunk: sums[q] are those of key channels 8 (lane / 8) + 32 q ... + 7.
__device__ __forceinline__ void sum_end(float (&sums)[2][8], const Half* S, const Half* G) {
  const auto wide = [](const Half* x, float(&to)[8]) {
    float low[8];
    load(x, to);
    load(x + kPair, low);
#pragma unroll
    for (int e = 0; e < 8; ++e) to[e] += low[e];
  };
#pragma unroll
  for (int m = 0; m < 4; ++m) {
    const int block = (warp_index() * 2 + m / 2) * 8 + m % 2 * 4 + lane_index() / 8, at = block * 64 + lane_index() % 8 * 8;  // Blocked
    float s[8], g[8];
    wide(S + at, s);
    wide(G + at, g);
#pragma unroll
    for (int e = 0; e < 8; ++e) sums[m % 2][e] += s[e] * g[e];
  }
#pragma unroll
  for (int q = 0; q < 2; ++q) {
#pragma unroll
    for (int e = 0; e < 8; ++e) sums[q][e] = warp_sum<8>(sums[q][e]);
  }
}

// A chunk's gradients. With x_t = r_t dr_t and y_t = k_t dk_t (without the bonus) and e = sum over rows of S G after the chunk, the
// gradient of the logarithm of a decay is e + sum over t > tau of x_t - sum over s >= tau of y_s: pairs with tau between them.
template <class T>
__global__ void __launch_bounds__(kThreads, 2) gradients(Args<T> p) {
  constexpr int parts = kParts<T>;
  constexpr const T* type = nullptr;
  auto& shared = *shared_memory<Shared<T>>();
  const Place c(p.s);
  const Half* const states = p.states + c.state(p.s);
  fetch_state(shared.S, states);
  fetch_state(shared.G, p.gradients + c.state(p.s) + state_numbers(1));
  copy_async_commit();
  const Documents documents(p.s, c);
  const int warp = warp_index(), j = own_channel();
  float u[2];
  unpack(*reinterpret_cast<const uint32_t*>(p.u + c.h * kHead + j), u[0], u[1], type);
  float pairs[2][4] = {}, own_product;  // own_product: dy v of token lane / 2
  {
    Own<T> r, k, v, dy;
    v.load(p.v, c);
    dy.load(p.dy, c);
    write_raw(shared.V, v);
    write_raw(shared.dY, dy);
    own_product = products_of_tokens(dy, v, 1, 1);
    r.load(p.r, c);
    k.load(p.k, c);
    const float bonus = products_of_tokens(r, k, u[0], u[1]);
    LogDecay l;
    l.load(p.w, c, p.s.shared_w);
    write_own_operands(shared.R, shared.K, r, k, l);
    __syncwarp();
    own_pairs<true>(pairs, shared.R, shared.K, bonus, documents);
    float z[8][4] = {};
    gather_own_keys<parts, false>(z, shared.dY, shared.V, shared.K, documents);
    shared.own_r.store(z);
#pragma unroll
    for (int n = 0; n < 8; ++n) {
#pragma unroll
      for (int e = 0; e < 4; ++e) z[n][e] = 0;
    }
    gather_own_keys<parts, true>(z, shared.V, shared.dY, shared.R, documents);
    shared.own_k.store(z);
    __syncwarp();
    float x = 0, y = 0;
#pragma unroll
    for (int t = 0; t < kOwn / 2; ++t) x -= fmaxf(l.x[t], -kBound), y -= fmaxf(l.y[t], -kBound);
#pragma unroll
    for (int t = 0; t < kOwn; ++t) {
      float2& to_r = shared.own_r.at(own_token(t), j);
      to_r = t == 0 ? make_float2(0, 0) : make_float2(to_r.x * fast_exp2(x), to_r.y * fast_exp2(y));
      x += fmaxf(l.x[t], -kBound);
      y += fmaxf(l.y[t], -kBound);
      float2& to_k = shared.own_k.at(own_token(t), j);
      to_k = t == kOwn - 1 ? make_float2(0, 0) : make_float2(to_k.x * fast_exp2(-x), to_k.y * fast_exp2(-y));
    }
    write_operands(shared.R, shared.K, shared.totals, r, k, l);
  }
  copy_async_wait<0>();
  __syncthreads();
  {
    float z[8][4] = {};
    gather_keys<parts, false>(z, shared.dY, shared.V, shared.K, shared.S, shared.totals, documents);
    __syncthreads();  // S has been read
    shared.z_r.store(z);
  }
  {
    float dv[8][4] = {};
    gather_values<parts, true>(dv, pairs, shared.K, shared.R, shared.dY, shared.G, shared.totals, documents);
    write_rows(p.dv, dv, shared.K, c);
  }
  {
    float end[2][8] = {}, z[8][4] = {};
    gather_keys<parts, true>(z, shared.V, shared.dY, shared.R, shared.G, shared.totals, documents);
    sum_end(end, states + state_numbers(1), shared.G);
    __syncthreads();  // G and R have been read
    shared.z_k.store(z);
#pragma unroll
    for (int q = 0; q < 2; ++q) {
#pragma unroll
      for (int e = 0; e < 8; ++e) {
        if (lane_index() % 8 == e) shared.sums.end[warp][q * 32 + lane_index()] = end[q][e];
      }
    }
    __syncwarp();
  }
  LogDecay l;
  l.load(p.w, c, p.s.shared_w);
  float crossing[2] = {}, du[2] = {}, dw[2] = {};
  {
    Own<T> r, k;
    r.load(p.r, c);
    k.load(p.k, c);
    float x = 0, y = 0;
    const float end_x = shared.totals[warp][j], end_y = shared.totals[warp][j + 1];
#pragma unroll
    for (int t = 0; t < kOwn; ++t) {
      const int token = own_token(t);
      float2 &at_r = shared.z_r.at(token, j), &at_k = shared.z_k.at(token, j);
      const float2 own_r = shared.own_r.at(token, j), own_k = shared.own_k.at(token, j);
      float r0, r1, k0, k1;
      r.at(t, r0, r1);
      k.at(t, k0, k1);
      const float product = __shfl_sync(kWholeWarp, own_product, 2 * t);
      const float dr0 = at_r.x * fast_exp2(x) + own_r.x, dr1 = at_r.y * fast_exp2(y) + own_r.y;
      x += l.x[t];
      y += l.y[t];
      const float dk0 = at_k.x * fast_exp2(end_x - x) + own_k.x, dk1 = at_k.y * fast_exp2(end_y - y) + own_k.y;
      at_r = make_float2(r0 * dr0, r1 * dr1);
      at_k = make_float2(k0 * dk0, k1 * dk1);
      crossing[0] += at_r.x - at_k.x;
      crossing[1] += at_r.y - at_k.y;
      du[0] += r0 * k0 * product;
      du[1] += r1 * k1 * product;
      if (token < c.n_tokens) {
        const int64_t at = c.first + token * c.stride + j;
        *reinterpret_cast<uint32_t*>(p.dr + at) = pack(dr0 + u[0] * k0 * product, dr1 + u[1] * k1 * product, type);
        *reinterpret_cast<uint32_t*>(p.dk + at) = pack(dk0 + u[0] * r0 * product, dk1 + u[1] * r1 * product, type);
      }
    }
  }
  publish(shared.sums.crossing, crossing[0], crossing[1]);
  publish(shared.sums.du, du[0], du[1]);
  __syncthreads();
  float x = total(shared.sums.end, 0, kWarps, j) + total(shared.sums.crossing, warp + 1, kWarps, j);
  float y = total(shared.sums.end, 0, kWarps, j + 1) + total(shared.sums.crossing, warp + 1, kWarps, j + 1);
#pragma unroll
  for (int t = kOwn - 1; t >= 0; --t) {
    const int token = own_token(t);
    const float2 at_r = shared.z_r.at(token, j), at_k = shared.z_k.at(token, j);
    x -= at_k.x;
    y -= at_k.y;
    // d log d / dw = log d; where a decay leaves nothing, so does what is found by differences.
    const float dw0 = l.x[t] > kNothing ? x * l.x[t] * kLn2 : 0.0f, dw1 = l.y[t] > kNothing ? y * l.y[t] * kLn2 : 0.0f;
    dw[0] += dw0;
    dw[1] += dw1;
    if (p.dw && token < c.n_tokens) *reinterpret_cast<uint32_t*>(p.dw + c.first + token * c.stride + j) = pack(dw0, dw1, type);
    x += at_r.x;
    y += at_r.y;
  }
  publish(shared.sums.dw, dw[0], dw[1]);
  __syncthreads();
  // Chunks of a batch row stand one behind the other, in each the heads.
  const int channel = static_cast<int>(threadIdx.x) % kHead, which = static_cast<int>(threadIdx.x) / kHead;
  const int64_t strip = c.head / p.s.H * p.s.n_chunks + c.chunk;
  p.sums[(strip * 2 + which) * c.stride + c.h * kHead + channel] = total(which == 0 ? shared.sums.du : shared.sums.dw, 0, kWarps, channel);
}

}  // namespace

void run_chunked(const Exec& ex, const Wkv6Backward& a) {
  const Shape& s = a.r.shape;
  const int64_t strips = s[0] * n_chunks(s[1]), C = s[2] * kHead;
  ArenaScope scope(*ex.scratch);
  const Tensor G = ex.scratch->take(DType::bf16, {saved_numbers(s)});
  const Tensor sums = ex.scratch->take(DType::f32, {strips, 2, C});
  make_states(ex, BackwardStates{a.r, a.dy, a.w, a.resets, a.dstate_out, a.dstate_in, G});
  if (ex.dry()) return;
  const bool shared_w = a.w.shape.rank == 2;
  const auto run_for = [&]<class T>() {
    const Args<T> p{a.r.as<T>(),
                    a.k.as<T>(),
                    a.v.as<T>(),
                    a.w.as<T>(),
                    a.u.as<T>(),
                    a.dy.as<T>(),
                    a.saved_states.as<Half>(),
                    G.as<Half>(),
                    a.dr.as<T>(),
                    a.dk.as<T>(),
                    a.dv.as<T>(),
                    shared_w ? nullptr : a.dw.as<T>(),
                    sums.as<float>(),
                    sequences(s, a.w, a.resets)};
    launch(ex, gradients<T>, {.grid = dim3(static_cast<unsigned>(strips * s[2])), .block = kThreads, .shared = sizeof(Shared<T>)}, p);
  };
  if (a.r.dtype == DType::f16) run_for.template operator()<__half>();
  if (a.r.dtype == DType::bf16) run_for.template operator()<__nv_bfloat16>();
  add_partials(ex, sums.as<float>(), static_cast<int>(strips), 2, C, {{maybe<float>(a.du), shared_w ? maybe<float>(a.dw) : nullptr}});
}

}  // namespace rk::cuda::wkv6
