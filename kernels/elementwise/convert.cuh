// Conversions between all element types of tensors on a GPU, double included.
#pragma once
#include <type_traits>

#include "kernels/common/flat.cuh"

namespace rk::cuda {

template <class Y, class X>
__device__ __forceinline__ Y convert(X x) {
  if constexpr (std::is_same_v<X, Y>) {
    return x;
  } else if constexpr (std::is_same_v<X, double>) {
    return from_float<Y>(static_cast<float>(x));
  } else if constexpr (std::is_same_v<Y, double>) {
    return static_cast<double>(to_float(x));
  } else {
    return from_float<Y>(to_float(x));
  }
}

// Calls f.operator()<T>() for any floating element type.
template <class F>
void with_number(DType t, const F& f) {
  if (t == DType::f64) return f.template operator()<double>();
  with_dtype(t, f);
}

// Elements of X and Y that one access of at most 16 bytes moves on both sides.
template <class X, class Y>
inline constexpr int kPairWide = 16 / static_cast<int>(sizeof(X) > sizeof(Y) ? sizeof(X) : sizeof(Y));

}  // namespace rk::cuda
