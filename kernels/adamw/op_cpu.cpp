#include <cmath>

#include "kernels/adamw/op.h"
#include "kernels/common/cpu_parallel.h"
#include "kernels/step_control/op.h"

namespace rk::cpu {
namespace {

// The constants of one group of a step in the type of the parameters.
template <class A>
struct Step {
  A lr, beta1, rest1, beta2, rest2, unbias1, unbias2, eps, decay, scale;
  Step(const AdamW& a, int64_t group)
      : lr(static_cast<A>(a.lr * a.lr_scale.as<double>()[group])),
        beta1(static_cast<A>(a.beta1)),
        rest1(static_cast<A>(1 - a.beta1)),
        beta2(static_cast<A>(a.beta2)),
        rest2(static_cast<A>(1 - a.beta2)),
        unbias1(static_cast<A>(a.decision.as<double>()[kBias1])),
        unbias2(static_cast<A>(a.decision.as<double>()[kBias2])),
        eps(static_cast<A>(a.eps)),
        decay(static_cast<A>(a.weight_decay.as<double>()[group])),
        scale(static_cast<A>(a.decision.as<double>()[kGradScale])) {}
};

// Elements [first, last), of one group.
template <class A, class W>
void update(const Exec& ex, const AdamW& a, const Step<A>& s, int64_t first, int64_t last) {
  A *p = a.p.as<A>() + first, *m = a.m.as<A>() + first, *v = a.v.as<A>() + first;
  const A* g = a.g.as<A>() + first;
  W* w = a.w ? a.w.as<W>() + first : nullptr;
  for_flat(ex, last - first, [&](int64_t begin, int64_t end) {
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

template <class A, class W>
void update(const Exec& ex, const AdamW& a) {
  const auto ends = a.ends.span<int64_t>();
  require(ends.back() == a.p.numel(), "the last group ends with the parameters");
  int64_t first = 0, group = 0;
  for (int64_t end : ends) {
    update<A, W>(ex, a, Step<A>(a, group++), first, end);
    first = end;
  }
}

}  // namespace

void run(const Exec& ex, const AdamW& a) {
  if (a.decision.as<double>()[kApply] == 0) return;
  with_dtype(a.w ? a.w.dtype : a.p.dtype, [&]<class W>() {
    if (a.p.dtype == DType::f64) {
      update<double, W>(ex, a);
    } else {
      update<float, W>(ex, a);
    }
  });
}

}  // namespace rk::cpu
