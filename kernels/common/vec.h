// Vectors of the processor's width, through the compiler's own vector types: + - * / and comparisons work lane by lane.
#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include "base/dtype.h"

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

namespace detail {
// One stage of a transpose: a and b trade the lanes that lie `Distance` apart.
template <int Distance, class V, int... I>
inline void trade(V& a, V& b, std::integer_sequence<int, I...>) {
  constexpr int W = sizeof...(I);
  const V low = __builtin_shufflevector(a, b, ((I & Distance) ? W + I - Distance : I)...);
  b = __builtin_shufflevector(a, b, ((I & Distance) ? W + I : I + Distance)...);
  a = low;
}

template <int Distance, class V, int W>
inline void transpose_stages(V (&rows)[W]) {
  if constexpr (Distance < W) {
#pragma GCC unroll 16
    for (int i = 0; i < W; ++i) {
      if (!(i & Distance)) trade<Distance>(rows[i], rows[i + Distance], std::make_integer_sequence<int, W>{});
    }
    transpose_stages<2 * Distance>(rows);
  }
}
}  // namespace detail

// Lane j of rows[i] becomes lane i of rows[j].
template <class V, int W>
inline void transpose_lanes(V (&rows)[W]) {
  detail::transpose_stages<1>(rows);
}

// W elements of T as numbers to compute with.
template <class T, int W = kLanes<acc_t<T>>>
inline Vec<acc_t<T>, W> load_wide(const T* p) {
  if constexpr (std::is_same_v<T, acc_t<T>>) {
    return load<Vec<T, W>>(p);
  } else {
    const auto bits = load<Vec<uint16_t, W>>(reinterpret_cast<const uint16_t*>(p));
    return std::bit_cast<Vec<float, W>>(__builtin_convertvector(bits, Vec<uint32_t, W>) << 16);
  }
}

// to [columns, ld_to] = transpose of from [rows, ld_from], in squares of W.
template <class T, int W = kLanes<acc_t<T>>>
inline void transpose(const T* from, int64_t rows, int64_t columns, int64_t ld_from, acc_t<T>* to, int64_t ld_to) {
  using V = Vec<acc_t<T>, W>;
  const int64_t whole_rows = rows / W * W, whole_columns = columns / W * W;
  for (int64_t i = 0; i < whole_rows; i += W) {
    for (int64_t j = 0; j < whole_columns; j += W) {
      V tile[W];
#pragma GCC unroll 16
      for (int q = 0; q < W; ++q) tile[q] = load_wide<T, W>(from + (i + q) * ld_from + j);
      transpose_lanes(tile);
#pragma GCC unroll 16
      for (int q = 0; q < W; ++q) store(to + (j + q) * ld_to + i, tile[q]);
    }
  }
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = i < whole_rows ? whole_columns : 0; j < columns; ++j) {
      to[j * ld_to + i] = static_cast<acc_t<T>>(from[i * ld_from + j]);
    }
  }
}

}  // namespace rk::cpu
