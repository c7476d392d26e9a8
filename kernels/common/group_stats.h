// Statistics of a group norm on the CPU.
#pragma once
#include <cmath>

#include "kernels/common/cpu_parallel.h"

namespace rk::cpu {

inline constexpr int64_t kMaxGroup = 256;  // channels

// Mean and 1 / deviation of one group's N values.
template <class A>
struct GroupStats {
  A mean, rstd;
};

template <class T>
GroupStats<acc_t<T>> group_stats(const T* y, int64_t N, double eps) {
  using A = acc_t<T>;
  A sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < N; ++j) sum += get(y, j);
  const A mean = sum / static_cast<A>(N);
#pragma omp simd reduction(+ : squares)
  for (int64_t j = 0; j < N; ++j) squares += (get(y, j) - mean) * (get(y, j) - mean);
  return {mean, A(1) / std::sqrt(squares / static_cast<A>(N) + static_cast<A>(eps))};
}

}  // namespace rk::cpu
