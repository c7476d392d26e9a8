#include "kernels/token_shift/op.h"

#include <cstring>
#include <utility>

#include "kernels/common/cpu_parallel.h"
#include "kernels/common/resets.h"

namespace rk::cpu {
namespace {

// Calls f(weight) with weight(j), how much of the row before is in mix m of a row whose part of `more` is given (null: none).
template <class T, class F>
void with_weight(const T* mu, const T* more, bool mu_of_self, const F& f) {
  if (more) {
    f([=](int64_t j) { return get(mu, j) + get(more, j); });
  } else if (mu_of_self) {
    f([=](int64_t j) { return acc_t<T>(1) - get(mu, j); });
  } else {
    f([=](int64_t j) { return get(mu, j); });
  }
}

template <class T>
T* row_of(const Tensor& t, int64_t row, int64_t C) {
  return t ? t.as<T>() + row * C : nullptr;
}

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
      T* y = a.y[m].as<T>() + row * C;
      with_weight<T>(a.mu[m].as<T>(), row_of<T>(a.more[m], row, C), a.mu_of_self, [&](const auto& weight) {
        if (prev) {
#pragma omp simd
          for (int64_t j = 0; j < C; ++j) put(y, j, get(x, j) + (get(prev, j) - get(x, j)) * weight(j));
        } else {
#pragma omp simd
          for (int64_t j = 0; j < C; ++j) put(y, j, get(x, j) - get(x, j) * weight(j));
        }
      });
    }
  });
  if (!a.state_out) return;
  for (int64_t b = 0; b < B; ++b) {
    std::memcpy(a.state_out.as<T>() + b * C, xs + ((b + 1) * length - 1) * C, static_cast<size_t>(C) * sizeof(T));
  }
}

// A block's rows are taken from the last to the first, and each hands back what it owes the row before it.
template <class T>
struct Backward {
  using A = acc_t<T>;
  const TokenShiftBackward& a;
  int64_t length = a.x.shape[1], C = a.x.shape[2];
  const T *xs = a.x.as<T>(), *state = maybe<T>(a.state_in);
  const A* dstate_out = maybe<A>(a.dstate_out);
  A* dstate_in = maybe<A>(a.dstate_in);
  const uint8_t* resets = reset_flags(a.resets);

  // Of one block, C each: what the rows after the current one have handed back, what it keeps, what it hands on.
  struct Rows {
    A *from_next, *own, *shifted;
  };

  bool begins(int64_t row) const { return resets && resets[row]; }

  // from_next = what row + 1 hands to `row`: sum over m of dy_m * weight_m, or the outgoing state's gradient after the last position.
  void take_from_next(int64_t row, A* from_next) const {
    std::fill(from_next, from_next + C, A(0));
    if (row % length == length - 1) {
      if (dstate_out) std::copy_n(dstate_out + row / length * C, C, from_next);
      return;
    }
    ++row;
    if (begins(row)) return;
    for (size_t m = 0; m < static_cast<size_t>(a.n); ++m) {
      const T* dy = a.dy[m].as<T>() + row * C;
      with_weight<T>(a.mu[m].as<T>(), row_of<T>(a.more[m], row, C), a.mu_of_self, [&](const auto& weight) {
#pragma omp simd
        for (int64_t j = 0; j < C; ++j) from_next[j] += get(dy, j) * weight(j);
      });
    }
  }

  // Adds to dmu [n,C]; sets dmore, which may be dy.
  void mixes(int64_t row, const Rows& r, A* dmu) const {
    const T* x = xs + row * C;
    const T* prev = row % length ? x - C : (state ? state + row / length * C : nullptr);
    if (begins(row)) prev = nullptr;
    const A sign = a.mu_of_self ? A(-1) : A(1);
    std::fill(r.own, r.own + C, A(0));
    std::fill(r.shifted, r.shifted + C, A(0));
    for (size_t m = 0; m < static_cast<size_t>(a.n); ++m, dmu += C) {
      const T* dy = a.dy[m].as<T>() + row * C;
      T* dmore = row_of<T>(a.dmore[m], row, C);
      with_weight<T>(a.mu[m].as<T>(), row_of<T>(a.more[m], row, C), a.mu_of_self, [&](const auto& weight) {
#pragma omp simd
        for (int64_t j = 0; j < C; ++j) {
          const A before = prev ? get(prev, j) : A(0), g = get(dy, j), w = weight(j), dw = g * (before - get(x, j));
          r.own[j] += g * (A(1) - w);
          r.shifted[j] += g * w;
          dmu[j] += sign * dw;
          if (dmore) put(dmore, j, dw);
        }
      });
    }
  }

  void one_row(int64_t row, Rows& r, A* dmu) const {
    T* dx = a.dx.as<T>() + row * C;
    mixes(row, r, dmu);
    if (a.add_dx) {
#pragma omp simd
      for (int64_t j = 0; j < C; ++j) r.own[j] += get(dx, j);
    }
#pragma omp simd
    for (int64_t j = 0; j < C; ++j) put(dx, j, r.own[j] + r.from_next[j]);
    if (begins(row)) std::fill(r.shifted, r.shifted + C, A(0));
    if (row % length == 0 && dstate_in) std::copy_n(r.shifted, C, dstate_in + row / length * C);
    std::swap(r.from_next, r.shifted);
  }
};

template <class T>
void backward(const Exec& ex, const TokenShiftBackward& a, const Tensor& partial) {
  using A = acc_t<T>;
  const int64_t C = a.x.shape[2], stride = (a.n + 3) * C;
  const RowBlocks blocks(a.x.shape[0] * a.x.shape[1]);
  A* sums = partial.as<A>();
  const Backward<T> rows{a};
  // The row behind a block belongs to another one, which may write dmore over dy.
  for_blocks(ex, blocks, stride, [&](int64_t block) { rows.take_from_next(blocks.last(block) - 1, sums + block * stride + a.n * C); });
  for_blocks(ex, blocks, stride, [&](int64_t block) {
    A *dmu = sums + block * stride, *three = dmu + a.n * C;
    typename Backward<T>::Rows r{three, three + C, three + 2 * C};
    std::fill(dmu, three, A(0));
    for (int64_t row = blocks.last(block) - 1; row >= blocks.first(block); --row) {
      if (row % rows.length == rows.length - 1 && row + 1 < blocks.last(block)) rows.take_from_next(row, r.from_next);
      rows.one_row(row, r, dmu);
    }
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
