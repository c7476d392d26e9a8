// Bound by memory: 28 bytes a parameter and those of the rounded weight, which is formed while p is in the first cache.
#include "kernels/adamw/op_cpu.h"

#include "kernels/common/cpu_parallel.h"
#include "kernels/common/stream_cpu.h"
#include "kernels/step_control/op.h"

namespace rk::cpu {
namespace {

constexpr int64_t kChunk = 32;  // elements between two looks ahead
constexpr int64_t kRun = 1024;  // elements before their weights are rounded

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
        decay(static_cast<A>(a.decay * a.weight_decay.as<double>()[group])),
        scale(static_cast<A>(a.decision.as<double>()[kGradScale])) {}
};

ROOKERY_INLINE float root(float x) { return __builtin_sqrtf(x); }
ROOKERY_INLINE double root(double x) { return __builtin_sqrt(x); }

template <class A>
struct State {
  A *p, *m, *v;
  const A* g;
};

template <class A>
ROOKERY_INLINE void update(const Step<A> s, const State<A> x, int64_t begin, int64_t end) {
#pragma omp simd
  for (int64_t i = begin; i < end; ++i) {
    const A grad = x.g[i] * s.scale;
    const A m = fused(s.beta1, x.m[i], s.rest1 * grad);
    const A v = fused(s.beta2, x.v[i], s.rest2 * (grad * grad));
    const A u = (m * s.unbias1) / (root(v * s.unbias2) + s.eps);
    x.m[i] = m;
    x.v[i] = v;
    x.p[i] = fused(-s.lr, fused(s.decay, x.p[i], u), x.p[i]);
  }
}

// n elements of one group; w may be null if it is not streamed.
template <class A, class W>
struct Update {
  ROOKERY_INLINE static void run(Step<A> s, State<A> x, W* w, int64_t n, bool streamed) {
    for (int64_t begin = 0; begin < n; begin += kRun) {
      const int64_t end = std::min(n, begin + kRun);
      int64_t i = begin;
      for (; i + kChunk <= end; i += kChunk) {
        for (const A* what : {static_cast<const A*>(x.p), static_cast<const A*>(x.m), static_cast<const A*>(x.v), x.g})
          fetch_ahead<1024>(what + i, kChunk);
        update(s, x, i, i + kChunk);
      }
      update(s, x, i, end);
      if (streamed) {
        convert_streamed(x.p + begin, w + begin, end - begin);
      } else if (w) {
        convert(x.p + begin, w + begin, end - begin);
      }
    }
  }
};

// Elements [begin, end) of all groups.
template <class A, class W>
void update(const AdamW& a, int64_t begin, int64_t end, Isa isa) {
  W* w = a.w && a.w.data != a.p.data ? a.w.as<W>() : nullptr;
  const bool streamed = w && static_cast<int64_t>(a.w.n_bytes()) >= kStreamed;
  const auto ends = a.ends.span<int64_t>();
  auto group = std::upper_bound(ends.begin(), ends.end(), begin) - ends.begin();
  for (int64_t i = begin; i < end; ++group) {
    const int64_t n = std::min(end, ends[static_cast<size_t>(group)]) - i;
    const State<A> x{a.p.as<A>() + i, a.m.as<A>() + i, a.v.as<A>() + i, a.g.as<A>() + i};
    run_with<Update<A, W>>(isa, Step<A>(a, group), x, w ? w + i : nullptr, n, streamed);
    i += n;
  }
  if (streamed) finish_stream();
}

template <class A>
void update(const Exec& ex, const AdamW& a, Isa isa) {
  with_stored_dtype(a.w ? a.w.dtype : a.p.dtype, [&]<class W>() {
    for_flat_ranges(ex, a.p.numel(), [&](int64_t begin, int64_t end) { update<A, W>(a, begin, end, isa); });
  });
}

}  // namespace

void run(const Exec& ex, const AdamW& a, Isa isa) {
  if (a.decision.as<double>()[kApply] == 0) return;
  require(a.ends.span<int64_t>().back() == a.p.numel(), "the last group ends with the parameters");
  if (a.p.dtype == DType::f64) {
    update<double>(ex, a, isa);
  } else {
    update<float>(ex, a, isa);
  }
}

}  // namespace rk::cpu
