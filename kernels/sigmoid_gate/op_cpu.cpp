#include "kernels/common/cpu_parallel.h"
#include "kernels/common/fast_math.h"
#include "kernels/sigmoid_gate/op.h"

namespace rk::cpu {
namespace {

template <class T>
void forward(const Exec& ex, const SigmoidGateForward& a) {
  const T *r = a.r.as<T>(), *v = a.v.as<T>(), *residual = maybe<T>(a.residual);
  T* y = a.y.as<T>();
  for_flat(ex, a.r.numel(), [&](int64_t begin, int64_t end) {
    if (residual) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) put(y, i, get(residual, i) + fast_sigmoid(get(r, i)) * get(v, i));
    } else {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) put(y, i, fast_sigmoid(get(r, i)) * get(v, i));
    }
  });
}

template <class T>
void backward(const Exec& ex, const SigmoidGateBackward& a) {
  using A = acc_t<T>;
  const T *r = a.r.as<T>(), *v = a.v.as<T>(), *dy = a.dy.as<T>();
  T *dr = a.dr.as<T>(), *dv = a.dv.as<T>(), *gated = maybe<T>(a.gated);
  for_flat(ex, a.r.numel(), [&](int64_t begin, int64_t end) {
    if (gated) {
#pragma omp simd
      for (int64_t i = begin; i < end; ++i) put(gated, i, fast_sigmoid(get(r, i)) * get(v, i));
    }
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) {
      const A s = fast_sigmoid(get(r, i)), value = get(v, i), up = get(dy, i);
      put(dr, i, up * value * s * (A(1) - s));
      put(dv, i, up * s);
    }
  });
}

}  // namespace

void run(const Exec& ex, const SigmoidGateForward& a) {
  with_dtype(a.r.dtype, [&]<class T>() { forward<T>(ex, a); });
}

void run(const Exec& ex, const SigmoidGateBackward& a) {
  with_dtype(a.r.dtype, [&]<class T>() { backward<T>(ex, a); });
}

}  // namespace rk::cpu
