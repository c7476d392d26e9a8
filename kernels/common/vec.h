// Vectors of the processor's width, through the compiler's own vector types: + - * / and comparisons work lane by lane.
#pragma once
#include <cstdint>
#include <cstring>
#include <utility>

namespace rk::cpu {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
inline constexpr int kVectorRegisters = 32;
#elif defined(__AVX__)
inline constexpr int kVectorBytes = 32;
inline constexpr int kVectorRegisters = 16;
#else
inline constexpr int kVectorBytes = 16;
inline constexpr int kVectorRegisters = 16;
#endif

template <class A>
inline constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(A));

template <class A, int W>
struct VecOf {
  typedef A type __attribute__((vector_size(W * sizeof(A))));
};
template <class A, int W = kLanes<A>>
using Vec = typename VecOf<A, W>::type;

template <class V, class A>
inline V load(const A* p) {
  V v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class V, class A>
inline void store(A* p, V v) {
  std::memcpy(p, &v, sizeof v);
}
template <class V, class A>
inline V splat(A x) {
  return x - V{};  // not V{} + x, which would have to turn -0 into 0
}

namespace detail {
template <class V, int W, int... I>
inline V add_neighbours(V x, V y, std::integer_sequence<int, I...>) {
  // Lanes 0 .. W/2-1: sums of neighbours of x; the rest: of y.
  return __builtin_shufflevector(x, y, (2 * I)...) + __builtin_shufflevector(x, y, (2 * I + 1)...);
}
}  // namespace detail

// Lane i of the result is the sum of the lanes of rows[i]; rows [W] is used up.
template <class A, int W>
inline Vec<A, W> sum_rows(Vec<A, W>* rows) {
  for (int n = W / 2; n > 0; n /= 2) {
#pragma GCC unroll 8
    for (int i = 0; i < n; ++i) {
      rows[i] = detail::add_neighbours<Vec<A, W>, W>(rows[2 * i], rows[2 * i + 1], std::make_integer_sequence<int, W>{});
    }
  }
  return rows[0];
}

// y [cols, ldy] = transpose of x [rows, ldx].
template <class A>
inline void transpose(const A* x, int64_t rows, int64_t cols, int64_t ldx, A* y, int64_t ldy) {
  constexpr int64_t tile = 8;
  for (int64_t i0 = 0; i0 < rows; i0 += tile) {
    for (int64_t j0 = 0; j0 < cols; j0 += tile) {
      const int64_t i1 = i0 + tile < rows ? i0 + tile : rows, j1 = j0 + tile < cols ? j0 + tile : cols;
      for (int64_t j = j0; j < j1; ++j) {
        for (int64_t i = i0; i < i1; ++i) y[j * ldy + i] = x[i * ldx + j];
      }
    }
  }
}

}  // namespace rk::cpu
