// Products with few rows of A (generation): every element of B is used a handful of times, so B is read in place and once.
#pragma once
#include "kernels/common/cpu_parallel.h"
#include "kernels/common/vec.h"
#include "kernels/gemm/blocks.h"

namespace rk::cpu {

// Element (row, column) of C = x + what the product is added to.
template <class O, class A>
inline void put_sum(O* c, const Addend<O>& to, int64_t row, int64_t column, A x) {
  if (to.base) x = get(to.base, row * to.N + column) + x;
  if (to.bias) x += get(to.bias, column);
  put(c, row * to.N + column, x);
}

// Lanes summed from the lowest on.
template <class A>
inline A sum_lanes(Vec<A> v) {
  A s = v[0];
  for (int i = 1; i < kLanes<A>; ++i) s += v[i];
  return s;
}

// op(B) = B^T: dot products of rows of A with rows of B. P rows of A and four rows of B at a time.
template <class T, class O, int P>
struct Dots {
  using A = acc_t<T>;
  static constexpr int W = kLanes<A>;
  const T *a, *b;
  O* c;
  int64_t N, K;
  Addend<O> to;

  // Rows m .. m + P of A with Q rows of B from n on.
  template <int Q>
  void block(int64_t m, int64_t n) const {
    Vec<A> sum[P][Q] = {};
    int64_t k = 0;
    for (; k + W <= K; k += W) {
      Vec<A> x[P];
      for (int p = 0; p < P; ++p) x[p] = load_wide(a + (m + p) * K + k);
      for (int q = 0; q < Q; ++q) {
        const Vec<A> y = load_wide(b + (n + q) * K + k);
        for (int p = 0; p < P; ++p) sum[p][q] += x[p] * y;
      }
    }
    for (int p = 0; p < P; ++p) {
      for (int q = 0; q < Q; ++q) {
        A s = sum_lanes<A>(sum[p][q]);
        for (int64_t t = k; t < K; ++t) s += get(a, (m + p) * K + t) * get(b, (n + q) * K + t);
        put_sum(c, to, m + p, n + q, s);
      }
    }
  }
  void operator()(int64_t m, int64_t first, int64_t last) const {
    int64_t n = first;
    for (; n + 4 <= last; n += 4) block<4>(m, n);
    for (; n < last; ++n) block<1>(m, n);
  }
};

// op(B) = B: rows of B times elements of A. P rows of A and Q vectors of columns at a time.
template <class T, class O, int P>
struct Axpys {
  using A = acc_t<T>;
  static constexpr int W = kLanes<A>;
  const T *a, *b;
  O* c;
  int64_t N, K;
  Addend<O> to;

  template <int Q>
  void block(int64_t m, int64_t n) const {
    Vec<A> sum[P][Q] = {};
    for (int64_t k = 0; k < K; ++k) {
      for (int q = 0; q < Q; ++q) {
        const Vec<A> y = load_wide(b + k * N + n + q * W);
        for (int p = 0; p < P; ++p) sum[p][q] += y * get(a, (m + p) * K + k);
      }
    }
    for (int p = 0; p < P; ++p) {
      for (int q = 0; q < Q; ++q) {
        for (int i = 0; i < W; ++i) put_sum(c, to, m + p, n + q * W + i, static_cast<A>(sum[p][q][i]));
      }
    }
  }
  void operator()(int64_t m, int64_t first, int64_t last) const {
    int64_t n = first;
    for (; n + 4 * W <= last; n += 4 * W) block<4>(m, n);
    for (; n + W <= last; n += W) block<1>(m, n);
    for (; n < last; ++n) {
      for (int p = 0; p < P; ++p) {
        A s = 0;
        for (int64_t k = 0; k < K; ++k) s += get(a, (m + p) * K + k) * get(b, k * N + n);
        put_sum(c, to, m + p, n, s);
      }
    }
  }
};

template <class T, class O>
void multiply_few_rows(const Exec& ex, const Gemm& g, const GemmSizes& s) {
  const Addend<O> to(g);
  constexpr int64_t unit = 64;  // columns; a multiple of every vector block, so that a thread's share does not change sums
  parallel_for(ex, (s.N + unit - 1) / unit, 1 + kSmallWork / (unit * s.K), [&](int64_t first, int64_t last) {
    const auto rows = [&]<int P>(int64_t m) {
      const T *a = g.a.as<T>(), *b = g.b.as<T>();
      O* c = g.c.as<O>();
      if (g.trans_b) {
        Dots<T, O, P>{a, b, c, s.N, s.K, to}(m, first * unit, std::min(s.N, last * unit));
      } else {
        Axpys<T, O, P>{a, b, c, s.N, s.K, to}(m, first * unit, std::min(s.N, last * unit));
      }
    };
    int64_t m = 0;
    for (; m + 4 <= s.M; m += 4) rows.template operator()<4>(m);
    for (; m < s.M; ++m) rows.template operator()<1>(m);
  });
}

}  // namespace rk::cpu
