#include "kernels/activation/op.h"
#include "kernels/common/cpu_parallel.h"
#include "kernels/common/fast_math.h"

namespace rk::cpu {
namespace {

struct Tanh {
  template <class A>
  static A value(A x) {
    return fast_tanh(x);
  }
  template <class A>
  static A slope(A y) {
    return A(1) - y * y;
  }
};
struct Sigmoid {
  template <class A>
  static A value(A x) {
    return fast_sigmoid(x);
  }
  template <class A>
  static A slope(A y) {
    return y * (A(1) - y);
  }
};
struct Relu2 {
  template <class A>
  static A value(A x) {
    return x <= A(0) ? A(0) : x * x;  // so that NaN stays NaN
  }
  template <class A>
  static A slope(A y) {
    return A(2) * std::sqrt(y);
  }
};

template <class F, class T>
void forward(const Exec& ex, const ActivationForward& a) {
  const T* x = a.x.as<T>();
  T* y = a.y.as<T>();
  for_flat(ex, a.x.numel(), [&](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) put(y, i, F::value(get(x, i)));
  });
}

template <class F, class T>
void backward(const Exec& ex, const ActivationBackward& a) {
  const T *y = a.y.as<T>(), *dy = a.dy.as<T>();
  T* dx = a.dx.as<T>();
  for_flat(ex, a.y.numel(), [&](int64_t begin, int64_t end) {
#pragma omp simd
    for (int64_t i = begin; i < end; ++i) put(dx, i, get(dy, i) * F::slope(get(y, i)));
  });
}

// Calls f.operator()<F>() for the formulas of an activation.
template <class Call>
void with_activation(Activation f, const Call& call) {
  switch (f) {
    case Activation::tanh: return call.template operator()<Tanh>();
    case Activation::sigmoid: return call.template operator()<Sigmoid>();
    case Activation::relu2: return call.template operator()<Relu2>();
  }
}

}  // namespace

void run(const Exec& ex, const ActivationForward& a) {
  with_dtype(a.x.dtype, [&]<class T>() { with_activation(a.f, [&]<class F>() { forward<F, T>(ex, a); }); });
}

void run(const Exec& ex, const ActivationBackward& a) {
  with_dtype(a.y.dtype, [&]<class T>() { with_activation(a.f, [&]<class F>() { backward<F, T>(ex, a); }); });
}

}  // namespace rk::cpu
