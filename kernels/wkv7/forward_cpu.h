// Forward recurrence of one head over a few tokens, on a state held transposed: lanes are value rows, which never mix.
#pragma once
#include "kernels/common/vec.h"

namespace rk::cpu {

// P*W value rows of a head of N channels. `state` [N][P*W] holds S transposed; inputs [n_tokens][N]; v, y begin at the first row.
template <class A, int W, int P>
struct ForwardPanel {
  using V = Vec<A, W>;
  static constexpr int64_t rows = P * W;
  int64_t N;
  A* state;

  struct Token {
    const A *r, *decay, *k, *v, *a, *b;
    A* y;
  };

  // sa = S a.
  void first_product(const A* a, V* sa) const {
    V even[P] = {}, odd[P] = {};
    for (int64_t j = 0; j < N; j += 2) {
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        even[p] += load<V>(state + j * rows + p * W) * a[j];
        odd[p] += load<V>(state + (j + 1) * rows + p * W) * a[j + 1];
      }
    }
    for (int p = 0; p < P; ++p) sa[p] = even[p] + odd[p];
  }

  // Column j of the state: S = S d + sa b + v k; adds to y and to the next token's sa.
  void column(int64_t j, const Token& t, const A* next_a, const V* sa, const V* v, V* y, V* next_sa) const {
    const A decay = t.decay[j], k = t.k[j], b = t.b[j], r = t.r[j], a = next_a[j];
#pragma GCC unroll 4
    for (int p = 0; p < P; ++p) {
      A* at = state + j * rows + p * W;
      const V s = load<V>(at) * decay + (sa[p] * b + v[p] * k);
      store(at, s);
      y[p] += s * r;
      next_sa[p] += s * a;
    }
  }

  // One token; sa holds S a of this token on entry, of the next one (next_a) on return.
  void step(const Token& t, const A* next_a, V* sa) const {
    V v[P], y_even[P] = {}, y_odd[P] = {}, sa_even[P] = {}, sa_odd[P] = {};
    for (int p = 0; p < P; ++p) v[p] = load<V>(t.v + p * W);
    for (int64_t j = 0; j < N; j += 2) {
      column(j, t, next_a, sa, v, y_even, sa_even);
      column(j + 1, t, next_a, sa, v, y_odd, sa_odd);
    }
    for (int p = 0; p < P; ++p) {
      store(t.y + p * W, y_even[p] + y_odd[p]);
      sa[p] = sa_even[p] + sa_odd[p];
    }
  }

  void run(int64_t n_tokens, const Token& first) const {
    V sa[P];
    first_product(first.a, sa);
    for (int64_t t = 0; t < n_tokens; ++t) {
      const int64_t o = t * N;
      const A* next_a = first.a + (t + 1 < n_tokens ? o + N : o);
      step({first.r + o, first.decay + o, first.k + o, first.v + o, first.a + o, first.b + o, first.y + o}, next_a, sa);
    }
  }
};

}  // namespace rk::cpu
