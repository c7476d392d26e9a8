// Backward recurrence of one head over one chunk. Lanes are key columns.
#pragma once
#include "kernels/common/vec.h"

namespace rk::cpu {

// Pointers of a chunk: inputs and outputs are [n_tokens][N], u and du [N]; states holds S before every token but the first; G [N][N] is the
// gradient of S after the chunk on entry, before it on return.
template <class A>
struct Wkv6Chunk {
  int64_t n_tokens;
  const A *r, *decay, *k, *v, *dy, *u;
  A *dr, *ddecay, *dk, *dv, *du;  // du is added to
  const A* start;                 // S before the chunk
  A *states, *G;                  // states [n_tokens - 1][N][N]
};

// FixedN: the head size where the compiler should know it, else 0.
template <class A, int W, int FixedN>
struct Wkv6ChunkBackward {
  using V = Vec<A, W>;
  const Wkv6Chunk<A>& c;
  const int64_t n;

  int64_t N() const { return FixedN ? FixedN : n; }
  const A* state_before(int64_t t) const { return t == 0 ? c.start : c.states + (t - 1) * N() * N(); }

  // dr without the bonus in columns j .. j + P*W, and S after the token; `to` null: it is not kept.
  template <int P>
  void advance(int64_t t, int64_t j, const A* S, A* to) const {
    const int64_t o = t * N() + j;
    V decay[P], k[P], dr[P] = {};
    for (int p = 0; p < P; ++p) {
      decay[p] = load<V>(c.decay + o + p * W);
      k[p] = load<V>(c.k + o + p * W);
    }
    const A *v = c.v + t * N(), *dy = c.dy + t * N();
    for (int64_t i = 0; i < N(); ++i) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        const V s = load<V>(S + i * N() + j + p * W);
        dr[p] += s * dy[i];
        if (to) store(to + i * N() + j + p * W, s * decay[p] + k[p] * v[i]);
      }
    }
    for (int p = 0; p < P; ++p) store(c.dr + o + p * W, dr[p]);
  }

  // dv = G k without the bonus.
  void rows_of(int64_t t) const {
    const int64_t o = t * N();
    for (int64_t i = 0; i < N(); i += W) {
      V dv[W];
      for (int q = 0; q < W; ++q) {
        const A* G = c.G + (i + q) * N();
        V sum{};
        for (int64_t j = 0; j < N(); j += W) sum += load<V>(G + j) * load<V>(c.k + o + j);
        dv[q] = sum;
      }
      store(c.dv + o + i, sum_rows<A, W>(dv));
    }
  }

  // Columns j .. j + P*W: dk = G v without the bonus, ddecay = G S (summed over rows), then G = G d + dy r.
  template <int P>
  void columns_of(int64_t t, int64_t j, const A* S) const {
    const int64_t o = t * N() + j;
    V dk[P] = {}, ddecay[P] = {}, decay[P], r[P];
    for (int p = 0; p < P; ++p) {
      decay[p] = load<V>(c.decay + o + p * W);
      r[p] = load<V>(c.r + o + p * W);
    }
    const A *v = c.v + t * N(), *dy = c.dy + t * N();
    for (int64_t i = 0; i < N(); ++i) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        A* at = c.G + i * N() + j + p * W;
        const V g = load<V>(at), s = load<V>(S + i * N() + j + p * W);
        dk[p] += g * v[i];
        ddecay[p] += g * s;
        store(at, g * decay[p] + r[p] * dy[i]);
      }
    }
    for (int p = 0; p < P; ++p) {
      store(c.dk + o + p * W, dk[p]);
      store(c.ddecay + o + p * W, ddecay[p]);
    }
  }

  // What the token's own key and value give.
  void bonus(int64_t t) const {
    const int64_t o = t * N();
    A with_v = 0, with_k = 0;
    for (int64_t i = 0; i < N(); ++i) with_v += c.dy[o + i] * c.v[o + i];
    for (int64_t j = 0; j < N(); ++j) with_k += c.r[o + j] * c.u[j] * c.k[o + j];
#pragma omp simd
    for (int64_t j = 0; j < N(); ++j) {
      const A r = c.r[o + j], k = c.k[o + j], u = c.u[j];
      c.dr[o + j] += u * k * with_v;
      c.dk[o + j] += u * r * with_v;
      c.dv[o + j] += with_k * c.dy[o + j];
      c.du[j] += r * k * with_v;
    }
  }

  // Calls f.operator()<P>(j) for panels of 4 or 1 vectors that cover the columns.
  template <class F>
  void for_panels(const F& f) const {
    int64_t j = 0;
    for (; j + 4 * W <= N(); j += 4 * W) f.template operator()<4>(j);
    if (FixedN % (4 * W) == 0 && FixedN) return;
    for (; j < N(); j += W) f.template operator()<1>(j);
  }

  void run() const {
    for (int64_t t = 0; t < c.n_tokens; ++t) {
      A* to = t + 1 < c.n_tokens ? c.states + t * N() * N() : nullptr;
      for_panels([&]<int P>(int64_t j) { advance<P>(t, j, state_before(t), to); });
    }
    for (int64_t t = c.n_tokens - 1; t >= 0; --t) {
      rows_of(t);
      for_panels([&]<int P>(int64_t j) { columns_of<P>(t, j, state_before(t)); });
      bonus(t);
    }
  }
};

}  // namespace rk::cpu
