#include "kernels/wkv6/chunk_states.h"

#include "kernels/wkv6/chunk.cuh"

namespace rk::cuda::wkv6 {
namespace {

template <class T>
struct Args {
  const T *values, *keys, *w;  // v and k, or dy and r
  Sequences s;
  Half* states;
  float* decay;  // [chunks][64]
};

template <class T>
struct Shared {
  Half values[kParts<T> * kSquare], keys[2 * kSquare];
  Totals totals;
};

// What a chunk adds to the state after it (BACKWARD: to the gradient of the state before it), [value][key], and its decay.
template <class T, bool BACKWARD>
__global__ void __launch_bounds__(kThreads) add_of_chunk(Args<T> p) {
  auto& shared = *shared_memory<Shared<T>>();
  const Place c(p.s);
  const Documents documents(p.s, c);
  Own<T> values, keys;
  values.load(p.values, c);
  keys.load(p.keys, c);
  LogDecay l;
  l.load(p.w, c, p.s.shared_w);
  float x = 0, y = 0;
#pragma unroll
  for (int t = 0; t < kOwn; ++t) x += l.x[t], y += l.y[t];
  publish(shared.totals, x, y);
  write_raw(shared.values, values);
  __syncthreads();
  const int j = own_channel(), warp = warp_index();
  x = BACKWARD ? total(shared.totals, 0, warp, j) : total(shared.totals, warp + 1, kWarps, j);
  y = BACKWARD ? total(shared.totals, 0, warp, j + 1) : total(shared.totals, warp + 1, kWarps, j + 1);
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
    const int t = BACKWARD ? i : kOwn - 1 - i, token = own_token(t);
    float a, b;
    keys.at(t, a, b);
    a *= fast_exp2(x);
    b *= fast_exp2(y);
    const bool counts = !documents.any() || (BACKWARD ? documents.from_start(token) : documents.to_end(token));
    write_pair(shared.keys, token, counts ? a : 0.0f, counts ? b : 0.0f);
    x += l.x[t];
    y += l.y[t];
  }
  if (threadIdx.x < kHead)
    p.decay[c.index * kHead + threadIdx.x] =
        documents.any() ? 0.0f : fast_exp2(total(shared.totals, 0, kWarps, static_cast<int>(threadIdx.x)));
  __syncthreads();
  float d[8][4] = {};
#pragma unroll
  for (int k = 0; k < kTokens / 16; ++k) {
    const Operand a = operand_of_transpose<Tile, kParts<T>>(shared.values, k * 16, warp * 16);
    multiply_add<Tile, false, kParts<T>, 2>(d, a, shared.keys, k * 16, 0);
  }
  store_state(p.states + c.state(p.s) + (BACKWARD ? state_numbers(1) : 0), warp * 16, d);
}

// Thread: eight neighbours of a head's state, S = S decay + what the chunk adds; this is replaced by S before it. With a negative step
// from the last chunk on. A few chunks ahead are under way.
constexpr int kScanThreads = 128, kAhead = 4, kScanBlocks = kSquare / 8 / kScanThreads;
struct Scan {
  Half* states;
  const float* decay;
  const float* start;  // null: zero
  float* end;          // null: not wanted
  int n_chunks;
  bool backward;
};
__global__ void __launch_bounds__(kScanThreads) scan(Scan p) {
  const int64_t head = blockIdx.x / kScanBlocks;
  const int piece = static_cast<int>(blockIdx.x) % kScanBlocks * kScanThreads + static_cast<int>(threadIdx.x);
  const int i = piece / 64 * 8 + piece % 8, j = piece / 8 % 8 * 8;  // Blocked
  const int64_t at = head * kSquare + i * kHead + j;
  const int step = p.backward ? -1 : 1, first = p.backward ? p.n_chunks - 1 : 0;
  Half* const own = p.states + head * (p.n_chunks + 1) * state_numbers(1) + piece * 8;
  const float* const decays = p.decay + head * p.n_chunks * kHead + j;
  const int shift = p.backward ? 1 : 0;  // from a chunk to its place in states
  float S[8] = {};
  if (p.start) {
#pragma unroll
    for (int q = 0; q < 8; q += 4) {
      float four[4];
      load(p.start + at + q, four);
#pragma unroll
      for (int e = 0; e < 4; ++e) S[q + e] = four[e];
    }
  }
  uint4 high[kAhead], low[kAhead];
  float decay[kAhead][8];
  const auto fetch = [&](int slot, int n) {
    if (n >= p.n_chunks) return;
    const int chunk = first + n * step;
    const Half* from = own + (chunk + shift) * state_numbers(1);
    high[slot] = *reinterpret_cast<const uint4*>(from);
    low[slot] = *reinterpret_cast<const uint4*>(from + kPair);
    const float* d = decays + static_cast<int64_t>(chunk) * kHead;
    float a[4], b[4];
    load(d, a);
    load(d + 4, b);
#pragma unroll
    for (int e = 0; e < 4; ++e) decay[slot][e] = a[e], decay[slot][4 + e] = b[e];
  };
  const auto write = [&](int place) {
    uint4 h, l;
    split(S[0], S[1], h.x, l.x);
    split(S[2], S[3], h.y, l.y);
    split(S[4], S[5], h.z, l.z);
    split(S[6], S[7], h.w, l.w);
    Half* to = own + place * state_numbers(1);
    *reinterpret_cast<uint4*>(to) = h;
    *reinterpret_cast<uint4*>(to + kPair) = l;
  };
#pragma unroll
  for (int q = 0; q < kAhead; ++q) fetch(q, q);
  for (int n = 0; n < p.n_chunks; n += kAhead) {
#pragma unroll
    for (int q = 0; q < kAhead; ++q) {
      if (n + q >= p.n_chunks) break;
      float add[8];
      join(high[q].x, low[q].x, add[0], add[1]);
      join(high[q].y, low[q].y, add[2], add[3]);
      join(high[q].z, low[q].z, add[4], add[5]);
      join(high[q].w, low[q].w, add[6], add[7]);
      write(first + (n + q) * step + shift);
#pragma unroll
      // A decay of nothing forgets what is not finite, too.
      for (int e = 0; e < 8; ++e) S[e] = (decay[q][e] == 0 ? 0.0f : S[e] * decay[q][e]) + add[e];
      fetch(q, n + q + kAhead);
    }
  }
  write(p.backward ? 0 : p.n_chunks);
  if (p.end) {
#pragma unroll
    for (int q = 0; q < 8; q += 4) {
      const float four[4] = {S[q], S[q + 1], S[q + 2], S[q + 3]};
      store(p.end + at + q, four);
    }
  }
}

template <bool BACKWARD>
void make(const Exec& ex, const Tensor& values, const Tensor& keys, const Tensor& w, const Tensor& resets, const Tensor& states,
          const Tensor& start, const Tensor& end) {
  const Shape& s = keys.shape;
  const int64_t heads = s[0] * s[2], chunks = heads * n_chunks(s[1]);
  ArenaScope scope(*ex.scratch);
  const Tensor decay = ex.scratch->take(DType::f32, {chunks, kHead});
  if (ex.dry()) return;
  const auto run_for = [&]<class T>() {
    const Args<T> p{values.as<T>(), keys.as<T>(), w.as<T>(), sequences(s, w, resets), states.as<Half>(), decay.as<float>()};
    launch(ex, add_of_chunk<T, BACKWARD>, {.grid = dim3(static_cast<unsigned>(chunks)), .block = kThreads, .shared = sizeof(Shared<T>)}, p);
  };
  if (keys.dtype == DType::f16) run_for.template operator()<__half>();
  if (keys.dtype == DType::bf16) run_for.template operator()<__nv_bfloat16>();
  launch(ex, scan, {.grid = dim3(static_cast<unsigned>(heads * kScanBlocks)), .block = kScanThreads},
         Scan{states.as<Half>(), decay.as<float>(), maybe<float>(start), maybe<float>(end), static_cast<int>(n_chunks(s[1])), BACKWARD});
}

}  // namespace

void make_states(const Exec& ex, const ForwardStates& a) { make<false>(ex, a.v, a.k, a.w, a.resets, a.states, a.state_in, a.state_out); }
void make_states(const Exec& ex, const BackwardStates& a) { make<true>(ex, a.dy, a.r, a.w, a.resets, a.states, a.dstate_out, a.dstate_in); }

}  // namespace rk::cuda::wkv6
