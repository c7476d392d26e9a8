// Forward recurrence of one head over a few tokens, on a state held transposed: lanes are value rows, which never mix.
#pragma once
#include "kernels/common/vec.h"

namespace rk::cpu {

// P*W value rows of a head of N channels. `state` [N][P*W] holds S transposed; inputs [n_tokens][N]; v, y begin at the first row;
// bonus [n_tokens] is sum_j r[j] u[j] k[j].
template <class A, int W, int P>
struct Wkv6Panel {
  using V = Vec<A, W>;
  static constexpr int64_t rows = P * W;
  int64_t N;
  A* state;

  struct Token {
    const A *r, *decay, *k, *v, *bonus;
    A* y;
  };

  void step(const Token& t) const {
    V v[P], even[P], odd[P] = {};
    for (int p = 0; p < P; ++p) {
      v[p] = load<V>(t.v + p * W);
      even[p] = v[p] * *t.bonus;
    }
    const auto column = [&](int64_t j, V* y) {
      const A r = t.r[j], decay = t.decay[j], k = t.k[j];
#pragma GCC unroll 4
      for (int p = 0; p < P; ++p) {
        A* at = state + j * rows + p * W;
        const V s = load<V>(at);
        y[p] += s * r;
        store(at, s * decay + v[p] * k);
      }
    };
    for (int64_t j = 0; j < N; j += 2) {
      column(j, even);
      column(j + 1, odd);
    }
    for (int p = 0; p < P; ++p) store(t.y + p * W, even[p] + odd[p]);
  }

  void run(int64_t n_tokens, const Token& first) const {
    for (int64_t t = 0; t < n_tokens; ++t) {
      const int64_t o = t * N;
      step({first.r + o, first.decay + o, first.k + o, first.v + o, first.bonus + t, first.y + o});
    }
  }
};

}  // namespace rk::cpu
