// Backward recurrence of one head over one chunk. Lanes are key columns.
#pragma once
#include "kernels/common/vec.h"

namespace rk::cpu {

// Pointers of a chunk: inputs, outputs and sa are [n_tokens][N]; states [n_tokens] holds S before every token; G [N][N].
template <class A>
struct BackwardChunk {
  int64_t n_tokens;
  const A *r, *decay, *k, *v, *a, *b, *dy;
  A *dr, *ddecay, *dk, *dv, *da, *db;
  A *sa, *dsa;     // [n_tokens][N], [N]
  const A* start;  // S before the chunk
  A *states, *G;   // states [n_tokens - 1][N][N]: S before tokens 1, 2, ...
};

// FixedN: the head size where the compiler should know it, else 0.
template <class A, int W, int FixedN>
struct ChunkBackward {
  using V = Vec<A, W>;
  const BackwardChunk<A>& c;
  const int64_t n;

  int64_t N() const { return FixedN ? FixedN : n; }
  const A* state_before(int64_t t) const { return t == 0 ? c.start : c.states + (t - 1) * N() * N(); }

  // sa_t = S a_t.
  void product(const A* S, const A* a, A* sa) const {
    for (int64_t i = 0; i < N(); i += W) {
      V rows[W];
      for (int q = 0; q < W; ++q) {
        V sum{};
        for (int64_t j = 0; j < N(); j += W) sum += load<V>(S + (i + q) * N() + j) * load<V>(a + j);
        rows[q] = sum;
      }
      store(sa + i, sum_rows<A, W>(rows));
    }
  }

  // S_t from S_{t-1} in columns j .. j + P*W, and dr_t = sum_i S_t[i] dy_t[i]. `to` null: S_t is not kept.
  template <int P>
  void advance(int64_t t, int64_t j, const A* S, A* to) const {
    const int64_t o = t * N() + j;
    V decay[P], b[P], k[P], dr[P] = {};
    for (int p = 0; p < P; ++p) {
      decay[p] = load<V>(c.decay + o + p * W);
      b[p] = load<V>(c.b + o + p * W);
      k[p] = load<V>(c.k + o + p * W);
    }
    const A *sa = c.sa + t * N(), *v = c.v + t * N(), *dy = c.dy + t * N();
    for (int64_t i = 0; i < N(); ++i) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        const V s = load<V>(S + i * N() + j + p * W) * decay[p] + (b[p] * sa[i] + k[p] * v[i]);
        if (to) store(to + i * N() + j + p * W, s);
        dr[p] += s * dy[i];
      }
    }
    for (int p = 0; p < P; ++p) store(c.dr + o + p * W, dr[p]);
  }

  // G += dy r;  dv = G k;  dsa = G b.
  void rows_of(int64_t t) const {
    const int64_t o = t * N();
    for (int64_t i = 0; i < N(); i += W) {
      V dv[W], dsa[W];
      for (int q = 0; q < W; ++q) {
        A* G = c.G + (i + q) * N();
        const A dy = c.dy[o + i + q];
        V with_k{}, with_b{};
        for (int64_t j = 0; j < N(); j += W) {
          const V g = load<V>(G + j) + load<V>(c.r + o + j) * dy;
          store(G + j, g);
          with_k += g * load<V>(c.k + o + j);
          with_b += g * load<V>(c.b + o + j);
        }
        dv[q] = with_k;
        dsa[q] = with_b;
      }
      store(c.dv + o + i, sum_rows<A, W>(dv));
      store(c.dsa + i, sum_rows<A, W>(dsa));
    }
  }

  // Columns j .. j + P*W: dk = G v, db = G sa, ddecay = G S, da = S dsa (summed over rows), then G = G d + dsa a.
  template <int P>
  void columns_of(int64_t t, int64_t j, const A* S) const {
    const int64_t o = t * N() + j;
    V dk[P] = {}, db[P] = {}, ddecay[P] = {}, da[P] = {}, decay[P], a[P];
    for (int p = 0; p < P; ++p) {
      decay[p] = load<V>(c.decay + o + p * W);
      a[p] = load<V>(c.a + o + p * W);
    }
    const A *sa = c.sa + t * N(), *v = c.v + t * N();
    for (int64_t i = 0; i < N(); ++i) {
      const A v_i = v[i], sa_i = sa[i], dsa_i = c.dsa[i];
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        A* at = c.G + i * N() + j + p * W;
        const V g = load<V>(at), s = load<V>(S + i * N() + j + p * W);
        dk[p] += g * v_i;
        db[p] += g * sa_i;
        ddecay[p] += g * s;
        da[p] += s * dsa_i;
        store(at, g * decay[p] + a[p] * dsa_i);
      }
    }
    for (int p = 0; p < P; ++p) {
      store(c.dk + o + p * W, dk[p]);
      store(c.db + o + p * W, db[p]);
      store(c.ddecay + o + p * W, ddecay[p]);
      store(c.da + o + p * W, da[p]);
    }
  }

  // Calls f.operator()<P>(j) for panels of 4, 2 or 1 vectors that cover the columns.
  template <class F>
  void for_panels(const F& f) const {
    int64_t j = 0;
    for (; j + 4 * W <= N(); j += 4 * W) f.template operator()<4>(j);
    if (FixedN % (4 * W) == 0 && FixedN) return;
    for (; j < N(); j += W) f.template operator()<1>(j);
  }

  void run() const {
    for (int64_t t = 0; t < c.n_tokens; ++t) {
      const A* S = state_before(t);
      A* to = t + 1 < c.n_tokens ? c.states + t * N() * N() : nullptr;
      product(S, c.a + t * N(), c.sa + t * N());
      for_panels([&]<int P>(int64_t j) { advance<P>(t, j, S, to); });
    }
    for (int64_t t = c.n_tokens - 1; t >= 0; --t) {
      rows_of(t);
      for_panels([&]<int P>(int64_t j) { columns_of<P>(t, j, state_before(t)); });
    }
  }
};

}  // namespace rk::cpu
