#include "kernels/group_norm_gate/op.h"

#include "kernels/common/cpu_parallel.h"
#include "kernels/common/fast_math.h"
#include "kernels/common/group_stats.h"

namespace rk::cpu {
namespace {

// The gate's factor, and what turns a gradient of the factor into one of g.
struct Silu {
  template <class A>
  static A value(A g) {
    return g * fast_sigmoid(g);
  }
  template <class A>
  static A slope(A g) {
    const A s = fast_sigmoid(g);
    return s * (A(1) + g * (A(1) - s));
  }
};
struct Identity {
  template <class A>
  static A value(A g) {
    return g;
  }
  template <class A>
  static A slope(A) {
    return A(1);
  }
};

// Methods work on a local copy of the struct, so that the compiler sees that writing elements does not change pointers.
template <class T>
struct Norm {
  using A = acc_t<T>;
  int64_t N;
  double eps;
  const T *y, *g, *weight, *bias;

  template <class Args>
  explicit Norm(const Args& a)
      : N(a.N),
        eps(a.eps),
        y(a.y.template as<T>()),
        g(a.g.template as<T>()),
        weight(a.weight.template as<T>()),
        bias(a.bias.template as<T>()) {}

  // One group of one row: elements i .. i + N, columns c .. c + N.
  template <class F>
  void gated(int64_t i, int64_t c, const GroupStats<A>& s, T* out) const {
    const auto p = *this;
#pragma omp simd
    for (int64_t j = 0; j < p.N; ++j) {
      const A normed = (get(p.y, i + j) - s.mean) * s.rstd * get(p.weight, c + j) + get(p.bias, c + j);
      put(out, i + j, normed * F::value(get(p.g, i + j)));
    }
  }

  // dy, dg: elements of the whole tensors; dg may be dout. Adds to dweight, dbias [C].
  template <class F>
  void backward(int64_t i, int64_t c, const GroupStats<A>& s, const T* dout, T* dy, T* dg, A* dweight, A* dbias) const {
    const auto p = *this;
    A dz[kMaxGroup];
    A plain = 0, scaled = 0;
#pragma omp simd reduction(+ : plain, scaled)
    for (int64_t j = 0; j < p.N; ++j) {
      const A up = get(dout, i + j), gate = get(p.g, i + j), w = get(p.weight, c + j), normed = (get(p.y, i + j) - s.mean) * s.rstd;
      dz[j] = up * F::value(gate);
      put(dg, i + j, up * (normed * w + get(p.bias, c + j)) * F::slope(gate));
      dweight[c + j] += dz[j] * normed;
      dbias[c + j] += dz[j];
      plain += dz[j] * w;
      scaled += dz[j] * w * normed;
    }
    plain /= static_cast<A>(p.N);
    scaled /= static_cast<A>(p.N);
#pragma omp simd
    for (int64_t j = 0; j < p.N; ++j) {
      const A normed = (get(p.y, i + j) - s.mean) * s.rstd;
      put(dy, i + j, s.rstd * (dz[j] * get(p.weight, c + j) - plain - normed * scaled));
    }
  }
};

// Calls f.operator()<F, T>().
template <class Call>
void with_gate(Gate gate, DType dtype, const Call& call) {
  with_dtype(dtype, [&]<class T>() {
    switch (gate) {
      case Gate::silu: return call.template operator()<Silu, T>();
      case Gate::identity: return call.template operator()<Identity, T>();
    }
  });
}

template <class F, class T>
void forward(const Exec& ex, const GroupNormGateForward& a) {
  const int64_t C = a.weight.numel();
  const Norm<T> norm(a);
  T* out = a.out.as<T>();
  for_rows(ex, a.y.numel() / C, 2 * C, [&](int64_t row) {
    for (int64_t c = 0; c < C; c += a.N) {
      const int64_t i = row * C + c;
      norm.template gated<F>(i, c, group_stats(norm.y + i, a.N, a.eps), out);
    }
  });
}

template <class F, class T>
void backward(const Exec& ex, const GroupNormGateBackward& a, const Tensor& partial) {
  using A = acc_t<T>;
  const int64_t C = a.weight.numel();
  const RowBlocks blocks(a.y.numel() / C);
  const Norm<T> norm(a);
  const T* dout = a.dout.as<T>();
  T *dy = a.dy.as<T>(), *dg = a.dg.as<T>(), *out = maybe<T>(a.out);
  A* all = partial.as<A>();
  for_blocks(ex, blocks, 4 * C, [&](int64_t block) {
    A *dweight = all + block * 2 * C, *dbias = dweight + C;
    std::fill(dweight, dweight + 2 * C, A(0));
    for (int64_t row = blocks.first(block); row < blocks.last(block); ++row) {
      for (int64_t c = 0; c < C; c += a.N) {
        const int64_t i = row * C + c;
        const GroupStats<A> s = group_stats(norm.y + i, a.N, a.eps);
        if (out) norm.template gated<F>(i, c, s, out);
        norm.template backward<F>(i, c, s, dout, dy, dg, dweight, dbias);
      }
    }
  });
  add_partials(ex, all, blocks.n, 2 * C, C, a.dweight);
  add_partials(ex, all + C, blocks.n, 2 * C, C, a.dbias);
}

}  // namespace

void run(const Exec& ex, const GroupNormGateForward& a) {
  with_gate(a.f, a.y.dtype, [&]<class F, class T>() { forward<F, T>(ex, a); });
}

void run(const Exec& ex, const GroupNormGateBackward& a, const Tensor& partial) {
  with_gate(a.f, a.y.dtype, [&]<class F, class T>() { backward<F, T>(ex, a, partial); });
}

}  // namespace rk::cpu
