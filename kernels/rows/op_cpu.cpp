#include "kernels/common/cpu_parallel.h"
#include "kernels/rows/op.h"

namespace rk::cpu {
namespace {

template <class T>
void sum_rows(const Exec& ex, const SumRows& a, const Tensor& partial) {
  using A = acc_t<T>;
  const int64_t n = a.y.numel();
  const RowBlocks blocks(a.x.numel() / n);
  const T* x = a.x.as<T>();
  A* sums = partial.as<A>();
  for_blocks(ex, blocks, n, [&](int64_t block) {
    A* sum = sums + block * n;
    std::fill(sum, sum + n, A(0));
    for (int64_t row = blocks.first(block); row < blocks.last(block); ++row) {
      const T* from = x + row * n;
#pragma omp simd
      for (int64_t j = 0; j < n; ++j) sum[j] += get(from, j);
    }
  });
  add_partials(ex, sums, blocks.n, n, n, a.y);
}

template <class X, class Y>
void repeat_rows(const Exec& ex, const RepeatRows& a) {
  const int64_t n = a.x.numel();
  const X* x = a.x.as<X>();
  Y* y = a.y.as<Y>();
  for_rows(ex, a.y.numel() / n, n, [&](int64_t row) {
    Y* to = y + row * n;
    for (int64_t j = 0; j < n; ++j) put(to, j, static_cast<acc_t<Y>>(get(x, j)));
  });
}

}  // namespace

void run(const Exec& ex, const SumRows& a, const Tensor& partial) {
  with_stored_dtype(a.x.dtype, [&]<class T>() { sum_rows<T>(ex, a, partial); });
}

void run(const Exec& ex, const RepeatRows& a) {
  with_stored_dtype(a.x.dtype, [&]<class X>() { with_stored_dtype(a.y.dtype, [&]<class Y>() { repeat_rows<X, Y>(ex, a); }); });
}

}  // namespace rk::cpu
