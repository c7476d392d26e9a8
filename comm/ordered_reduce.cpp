#include "comm/ordered_reduce.h"

#include <algorithm>
#include <array>
#include <type_traits>

namespace rk {
namespace {

// Where T is summed: floats of bf16, and unsigned numbers for integers, whose overflow is then defined.
template <class T>
struct SumOf {
  using type = T;
};
template <>
struct SumOf<bf16> {
  using type = float;
};
template <>
struct SumOf<int32_t> {
  using type = uint32_t;
};
template <>
struct SumOf<int64_t> {
  using type = uint64_t;
};

struct Add {
  template <class T>
  static typename SumOf<T>::type widen(T x) {
    return static_cast<typename SumOf<T>::type>(x);
  }
  template <class A>
  static A join(A a, A b) {
    return a + b;
  }
};

struct Max {
  template <class T>
  static std::conditional_t<std::is_same_v<T, bf16>, float, T> widen(T x) {
    return static_cast<std::conditional_t<std::is_same_v<T, bf16>, float, T>>(x);
  }
  template <class A>
  static A join(A a, A b) {
    return a >= b || a != a ? a : b;
  }
};

// Block by block, so that all parts of a block are read before any of it is written.
template <class T, class Op>
void reduce_as(std::span<const void* const> parts, void* out, int64_t n) {
  using Acc = decltype(Op::widen(T{}));
  constexpr int64_t kBlock = 1024;
  std::array<Acc, kBlock> acc;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    const int64_t m = std::min(kBlock, n - begin);
    const T* first = static_cast<const T*>(parts[0]) + begin;
    for (int64_t i = 0; i < m; ++i) acc[static_cast<size_t>(i)] = Op::widen(first[i]);
    for (size_t p = 1; p < parts.size(); ++p) {
      const T* x = static_cast<const T*>(parts[p]) + begin;
      for (int64_t i = 0; i < m; ++i) acc[static_cast<size_t>(i)] = Op::join(acc[static_cast<size_t>(i)], Op::widen(x[i]));
    }
    T* y = static_cast<T*>(out) + begin;
    for (int64_t i = 0; i < m; ++i) y[i] = static_cast<T>(acc[static_cast<size_t>(i)]);
  }
}

template <class Op>
void reduce_with(DType dtype, std::span<const void* const> parts, void* out, int64_t n) {
  switch (dtype) {
    case DType::f64: return reduce_as<double, Op>(parts, out, n);
    case DType::f32: return reduce_as<float, Op>(parts, out, n);
    case DType::bf16: return reduce_as<bf16, Op>(parts, out, n);
    case DType::i64: return reduce_as<int64_t, Op>(parts, out, n);
    case DType::i32: return reduce_as<int32_t, Op>(parts, out, n);
    default: broken_promise("f64, f32, bf16, i64 and i32 can be reduced", Where::here());
  }
}

}  // namespace

void ordered_reduce(DType dtype, Reduce op, std::span<const void* const> parts, void* out, int64_t n) {
  if (op == Reduce::sum) return reduce_with<Add>(dtype, parts, out, n);
  reduce_with<Max>(dtype, parts, out, n);
}

}  // namespace rk
