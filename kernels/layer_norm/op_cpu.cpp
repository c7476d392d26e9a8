#include "kernels/layer_norm/op.h"

#include <cmath>

#include "kernels/common/cpu_parallel.h"

namespace rk::cpu {
namespace {

template <class T>
void forward(const Exec& ex, const LayerNormForward& a) {
  using A = acc_t<T>;
  const int64_t C = a.weight.numel();
  const T *xs = a.x.as<T>(), *weight = a.weight.as<T>(), *bias = a.bias.as<T>();
  T* ys = a.y.as<T>();
  A *means = maybe<A>(a.mean), *rstds = maybe<A>(a.rstd);
  const A eps = static_cast<A>(a.eps);
  for_rows(ex, a.x.numel() / C, C, [&](int64_t row) {
    const T* x = xs + row * C;
    T* y = ys + row * C;
    A sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < C; ++j) sum += get(x, j);
    const A mean = sum / static_cast<A>(C);
#pragma omp simd reduction(+ : squares)
    for (int64_t j = 0; j < C; ++j) squares += (get(x, j) - mean) * (get(x, j) - mean);
    const A rstd = A(1) / std::sqrt(squares / static_cast<A>(C) + eps);
#pragma omp simd
    for (int64_t j = 0; j < C; ++j) put(y, j, (get(x, j) - mean) * rstd * get(weight, j) + get(bias, j));
    if (means) means[row] = mean;
    if (rstds) rstds[row] = rstd;
  });
}

// One row; dweight and dbias are the sums of the row's block.
template <class T, bool AddDx>
struct RowBackward {
  using A = acc_t<T>;
  int64_t C;
  const T* weight;

  void operator()(const T* x, A mean, A rstd, const T* dy, T* dx, A* dweight, A* dbias) const {
    A plain = 0, scaled = 0;
#pragma omp simd reduction(+ : plain, scaled)
    for (int64_t j = 0; j < C; ++j) {
      const A g = get(dy, j), normed = (get(x, j) - mean) * rstd;
      dweight[j] += g * normed;
      dbias[j] += g;
      plain += g * get(weight, j);
      scaled += g * get(weight, j) * normed;
    }
    plain /= static_cast<A>(C);
    scaled /= static_cast<A>(C);
#pragma omp simd
    for (int64_t j = 0; j < C; ++j) {
      const A normed = (get(x, j) - mean) * rstd;
      const A g = rstd * (get(dy, j) * get(weight, j) - plain - normed * scaled);
      put(dx, j, AddDx ? get(dx, j) + g : g);
    }
  }
};

template <class T, bool AddDx>
void backward(const Exec& ex, const LayerNormBackward& a, const Tensor& partial) {
  using A = acc_t<T>;
  const int64_t C = a.weight.numel();
  const RowBlocks blocks(a.x.numel() / C);
  const T *x = a.x.as<T>(), *dy = a.dy.as<T>();
  T* dx = a.dx.as<T>();
  const A *mean = a.mean.as<A>(), *rstd = a.rstd.as<A>();
  A* sums = partial.as<A>();
  const RowBackward<T, AddDx> row_backward{C, a.weight.as<T>()};
  for_blocks(ex, blocks, C, [&](int64_t block) {
    A *dweight = sums + block * 2 * C, *dbias = dweight + C;
    std::fill(dweight, dweight + 2 * C, A(0));
    for (int64_t row = blocks.first(block); row < blocks.last(block); ++row) {
      row_backward(x + row * C, mean[row], rstd[row], dy + row * C, dx + row * C, dweight, dbias);
    }
  });
  add_partials(ex, sums, blocks.n, 2 * C, C, a.dweight);
  add_partials(ex, sums + C, blocks.n, 2 * C, C, a.dbias);
}

}  // namespace

void run(const Exec& ex, const LayerNormForward& a) {
  with_dtype(a.x.dtype, [&]<class T>() { forward<T>(ex, a); });
}

void run(const Exec& ex, const LayerNormBackward& a, const Tensor& partial) {
  with_dtype(a.x.dtype, [&]<class T>() {
    if (a.add_dx) {
      backward<T, true>(ex, a, partial);
    } else {
      backward<T, false>(ex, a, partial);
    }
  });
}

}  // namespace rk::cpu
