#include "kernels/token_shift/op.h"

#include <cstring>
#include <vector>

#include "kernels/common/cpu_parallel.h"
#include "kernels/common/resets.h"

namespace rk::cpu {
namespace {

template <class T>
void forward(const Exec& ex, const TokenShiftForward& a) {
  const int64_t B = a.x.shape[0], length = a.x.shape[1], C = a.x.shape[2];
  const T *xs = a.x.as<T>(), *state = maybe<T>(a.state_in);
  const uint8_t* resets = reset_flags(a.resets);
  for_rows(ex, B * length, C * (a.n + 1), [&](int64_t row) {
    const int64_t b = row / length;
    const T* x = xs + row * C;
    const T* prev = row % length ? x - C : (state ? state + b * C : nullptr);
    if (resets && resets[row]) prev = nullptr;
    for (size_t m = 0; m < static_cast<size_t>(a.n); ++m) {
      const T* mu = a.mu[m].as<T>();
      T* y = a.y[m].as<T>() + row * C;
      if (prev) {
#pragma omp simd
        for (int64_t j = 0; j < C; ++j) put(y, j, get(x, j) + (get(prev, j) - get(x, j)) * get(mu, j));
      } else {
#pragma omp simd
        for (int64_t j = 0; j < C; ++j) put(y, j, get(x, j) - get(x, j) * get(mu, j));
      }
    }
  });
  if (!a.state_out) return;
  for (int64_t b = 0; b < B; ++b) {
    std::memcpy(a.state_out.as<T>() + b * C, xs + ((b + 1) * length - 1) * C, static_cast<size_t>(C) * sizeof(T));
  }
}

template <class T>
struct Backward {
  using A = acc_t<T>;
  const TokenShiftBackward& a;
  int64_t length = a.x.shape[1], C = a.x.shape[2];
  const T *xs = a.x.as<T>(), *state = maybe<T>(a.state_in);
  const A* dstate_out = maybe<A>(a.dstate_out);
  A* dstate_in = maybe<A>(a.dstate_in);
  const uint8_t* resets = reset_flags(a.resets);

  bool begins(int64_t row) const { return resets && resets[row]; }

  // from_next = what row + 1 hands to `row`: sum over m of dy_m * mu_m, or the outgoing state's gradient after the last position.
  void take_from_next(int64_t row, A* from_next) const {
    std::fill(from_next, from_next + C, A(0));
    if (row % length == length - 1) {
      if (dstate_out) std::copy_n(dstate_out + row / length * C, C, from_next);
      return;
    }
    if (begins(row + 1)) return;
    for (size_t m = 0; m < static_cast<size_t>(a.n); ++m) add_shifted(m, row + 1, from_next);
  }
  void add_shifted(size_t m, int64_t row, A* to) const {
    const T *dy = a.dy[m].as<T>() + row * C, *mu = a.mu[m].as<T>();
#pragma omp simd
    for (int64_t j = 0; j < C; ++j) to[j] += get(dy, j) * get(mu, j);
  }

  // here = what `row` keeps of its own gradients; adds to dmu [n,C].
  void own_part(int64_t row, A* here, A* dmu) const {
    const T* x = xs + row * C;
    const T* prev = row % length ? x - C : (state ? state + row / length * C : nullptr);
    if (begins(row)) prev = nullptr;
    std::fill(here, here + C, A(0));
    for (size_t m = 0; m < static_cast<size_t>(a.n); ++m, dmu += C) {
      const T *dy = a.dy[m].as<T>() + row * C, *mu = a.mu[m].as<T>();
#pragma omp simd
      for (int64_t j = 0; j < C; ++j) {
        const A before = prev ? get(prev, j) : A(0);
        here[j] += get(dy, j) * (A(1) - get(mu, j));
        dmu[j] += get(dy, j) * (before - get(x, j));
      }
    }
  }

  void one_row(int64_t row, A* dmu, A* here, A* from_next) const {
    T* dx = a.dx.as<T>() + row * C;
    take_from_next(row, from_next);
    own_part(row, here, dmu);
#pragma omp simd
    for (int64_t j = 0; j < C; ++j) put(dx, j, here[j] + from_next[j]);
    if (row % length == 0 && dstate_in) {
      A* to = dstate_in + row / length * C;
      std::fill(to, to + C, A(0));
      if (begins(row)) return;
      for (size_t m = 0; m < static_cast<size_t>(a.n); ++m) add_shifted(m, row, to);
    }
  }
};

template <class T>
void backward(const Exec& ex, const TokenShiftBackward& a, const Tensor& partial) {
  using A = acc_t<T>;
  const int64_t C = a.x.shape[2], stride = (a.n + 2) * C;
  const RowBlocks blocks(a.x.shape[0] * a.x.shape[1]);
  A* sums = partial.as<A>();
  const Backward<T> rows{a};
  for_blocks(ex, blocks, stride, [&](int64_t block) {
    A *dmu = sums + block * stride, *here = dmu + a.n * C, *from_next = here + C;
    std::fill(dmu, here, A(0));
    for (int64_t row = blocks.first(block); row < blocks.last(block); ++row) rows.one_row(row, dmu, here, from_next);
  });
  for (int m = 0; m < a.n; ++m) add_partials(ex, sums + m * C, blocks.n, stride, C, a.dmu[static_cast<size_t>(m)]);
}

}  // namespace

void run(const Exec& ex, const TokenShiftForward& a) {
  with_dtype(a.x.dtype, [&]<class T>() { forward<T>(ex, a); });
}

void run(const Exec& ex, const TokenShiftBackward& a, const Tensor& partial) {
  with_dtype(a.x.dtype, [&]<class T>() { backward<T>(ex, a, partial); });
}

}  // namespace rk::cpu
