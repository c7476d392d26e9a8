#include "kernels/elementwise/op.h"

#include <cstring>
#include <type_traits>

#include "kernels/common/cpu_parallel.h"

namespace rk::cpu {
namespace {

constexpr int64_t kSquareBlock = 4096;

using cpu::get;
using cpu::put;
float get(const f16* p, int64_t i) { return to_float(p[i]); }
void put(f16* p, int64_t i, float x) { p[i] = to_f16(x); }

// Element types of casts: those of models on any device.
template <class F>
void with_cast_dtype(DType t, const F& f) {
  if (t == DType::f16) return f.template operator()<f16>();
  with_dtype(t, f);
}

template <class X, class Y>
void cast(const Exec& ex, const Cast& a) {
  const X* x = a.x.as<X>();
  Y* y = a.y.as<Y>();
  for_flat(ex, a.x.numel(), [&](int64_t begin, int64_t end) {
    if constexpr (std::is_same_v<X, Y>) {
      std::memmove(y + begin, x + begin, static_cast<size_t>(end - begin) * sizeof(X));
    } else {
      for (int64_t i = begin; i < end; ++i) put(y, i, static_cast<acc_t<Y>>(get(x, i)));
    }
  });
}

template <class X, class Y>
void add(const Exec& ex, const Add& a) {
  using Wide = std::conditional_t<std::is_same_v<X, double> || std::is_same_v<Y, double>, double, float>;
  const X* x = a.x.as<X>();
  Y* y = a.y.as<Y>();
  for_flat(ex, a.x.numel(), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      put(y, i, static_cast<acc_t<Y>>(static_cast<Wide>(get(y, i)) + static_cast<Wide>(get(x, i))));
    }
  });
}

// Sixteen running sums, then one after the other.
template <class X>
double square_block(const X* x, int64_t n) {
  constexpr int64_t lanes = 16;
  double sum[lanes] = {};
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    for (int64_t j = 0; j < lanes; ++j) sum[j] += static_cast<double>(x[i + j]) * static_cast<double>(x[i + j]);
  }
  for (; i < n; ++i) sum[i % lanes] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  double total = 0;
  for (double s : sum) total += s;
  return total;
}

}  // namespace

int64_t n_square_blocks(int64_t n) { return (n + kSquareBlock - 1) / kSquareBlock; }

void run(const Exec& ex, const Cast& a) {
  with_cast_dtype(a.x.dtype, [&]<class X>() { with_cast_dtype(a.y.dtype, [&]<class Y>() { cast<X, Y>(ex, a); }); });
}

void run(const Exec& ex, const Add& a) {
  with_dtype(a.x.dtype, [&]<class X>() { with_dtype(a.y.dtype, [&]<class Y>() { add<X, Y>(ex, a); }); });
}

void run(const Exec& ex, const SumOfSquares& a, const Tensor& block_sums) {
  const int64_t n = a.x.numel(), n_blocks = n_square_blocks(n);
  double* sums = block_sums.as<double>();
  with_dtype(a.x.dtype, [&]<class X>() {
    const X* x = a.x.as<X>();
    parallel_for(ex, n_blocks, kSmallWork / kSquareBlock, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) sums[i] = square_block(x + i * kSquareBlock, std::min(kSquareBlock, n - i * kSquareBlock));
    });
  });
  double total = 0;
  for (int64_t i = 0; i < n_blocks; ++i) total += sums[i];
  *a.out.as<double>() += total;
}

void run(const Exec& ex, const Fill& a) {
  with_dtype(a.x.dtype, [&]<class X>() {
    X* x = a.x.as<X>();
    const X value = static_cast<X>(static_cast<acc_t<X>>(a.value));
    for_flat(ex, a.x.numel(), [&](int64_t begin, int64_t end) { std::fill(x + begin, x + end, value); });
  });
}

}  // namespace rk::cpu
