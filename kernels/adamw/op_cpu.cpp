#include "kernels/adamw/op.h"

#include <cmath>

#include "kernels/common/cpu_parallel.h"

namespace rk::cpu {
namespace {

// The step's constants in the type of the parameters.
template <class A>
struct Step {
  A lr, beta1, rest1, beta2, rest2, unbias1, unbias2, eps, decay, scale;
  explicit Step(const AdamW& a)
      : lr(static_cast<A>(a.lr)),
        beta1(static_cast<A>(a.beta1)),
        rest1(static_cast<A>(1 - a.beta1)),
        beta2(static_cast<A>(a.beta2)),
        rest2(static_cast<A>(1 - a.beta2)),
        unbias1(static_cast<A>(1 / (1 - std::pow(a.beta1, static_cast<double>(a.t))))),
        unbias2(static_cast<A>(1 / (1 - std::pow(a.beta2, static_cast<double>(a.t))))),
        eps(static_cast<A>(a.eps)),
        decay(static_cast<A>(a.weight_decay)),
        scale(static_cast<A>(a.grad_scale)) {}
};

template <class A, class W>
void update(const Exec& ex, const AdamW& a) {
  A *p = a.p.as<A>(), *m = a.m.as<A>(), *v = a.v.as<A>();
  const A* g = a.g.as<A>();
  W* w = a.w ? a.w.as<W>() : nullptr;
  const Step<A> s(a);
  for_flat(ex, a.p.numel(), [&](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      const A grad = g[i] * s.scale;
      m[i] = s.beta1 * m[i] + s.rest1 * grad;
      v[i] = s.beta2 * v[i] + s.rest2 * (grad * grad);
      const A u = (m[i] * s.unbias1) / (std::sqrt(v[i] * s.unbias2) + s.eps);
      p[i] -= s.lr * (u + s.decay * p[i]);
    }
    if (w && static_cast<void*>(w) != static_cast<void*>(p)) {
      for (int64_t i = begin; i < end; ++i) put(w, i, static_cast<acc_t<W>>(p[i]));
    }
  });
}

}  // namespace

void run(const Exec& ex, const AdamW& a) {
  with_dtype(a.w ? a.w.dtype : a.p.dtype, [&]<class W>() {
    if (a.p.dtype == DType::f64) {
      update<double, W>(ex, a);
    } else {
      update<float, W>(ex, a);
    }
  });
}

}  // namespace rk::cpu
