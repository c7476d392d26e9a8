// Forward reads x and writes y; backward reads y and dy and writes dx.
#include "kernels/activation/op.h"
#include "kernels/common/flat.cuh"

namespace rk::cuda {
namespace {

template <Activation F>
__device__ __forceinline__ float value(float x) {
  if constexpr (F == Activation::tanh) return tanhf(x);
  if constexpr (F == Activation::sigmoid) return sigmoid(x);
  const float positive = fmaxf(x, 0.0f);
  return positive * positive;
}

// The derivative where the value is y.
template <Activation F>
__device__ __forceinline__ float slope(float y) {
  if constexpr (F == Activation::tanh) return 1.0f - y * y;
  if constexpr (F == Activation::sigmoid) return y * (1.0f - y);
  return 2.0f * sqrtf(y);
}

template <Activation F, class T, int W>
struct Forward {
  const T* x;
  T* y;
  using Loaded = Pack<T, W>;
  __device__ Loaded load(int64_t i) const { return *reinterpret_cast<const Loaded*>(x + i * W); }
  __device__ void store(int64_t i, const Loaded& in) const {
    float out[W];
#pragma unroll
    for (int j = 0; j < W; ++j) out[j] = value<F>(to_float(in.x[j]));
    cuda::store(y + i * W, out);
  }
};

template <Activation F, class T, int W>
struct Backward {
  const T *y, *dy;
  T* dx;
  struct Loaded {
    Pack<T, W> y, dy;
  };
  __device__ Loaded load(int64_t i) const {
    return {*reinterpret_cast<const Pack<T, W>*>(y + i * W), *reinterpret_cast<const Pack<T, W>*>(dy + i * W)};
  }
  __device__ void store(int64_t i, const Loaded& in) const {
    float out[W];
#pragma unroll
    for (int j = 0; j < W; ++j) out[j] = to_float(in.dy.x[j]) * slope<F>(to_float(in.y.x[j]));
    cuda::store(dx + i * W, out);
  }
};

// Calls f.operator()<F, T>().
template <class Body>
void with_function(Activation f, DType t, const Body& body) {
  with_dtype(t, [&]<class T>() {
    switch (f) {
      case Activation::tanh: return body.template operator()<Activation::tanh, T>();
      case Activation::sigmoid: return body.template operator()<Activation::sigmoid, T>();
      case Activation::relu2: return body.template operator()<Activation::relu2, T>();
    }
  });
}

}  // namespace

void run(const Exec& ex, const ActivationForward& a) {
  if (ex.dry()) return;
  with_function(a.f, a.x.dtype, [&]<Activation F, class T>() {
    constexpr int W = kWide<T>;
    const T* x = a.x.as<T>();
    T* y = a.y.as<T>();
    const int64_t n = a.x.numel(), done = aligned(x, 16) && aligned(y, 16) ? n / W * W : 0;
    for_each_index(ex, done / W, Forward<F, T, W>{x, y});
    for_each_index(ex, n - done, Forward<F, T, 1>{x + done, y + done});
  });
}

void run(const Exec& ex, const ActivationBackward& a) {
  if (ex.dry()) return;
  with_function(a.f, a.y.dtype, [&]<Activation F, class T>() {
    constexpr int W = kWide<T>;
    const T *y = a.y.as<T>(), *dy = a.dy.as<T>();
    T* dx = a.dx.as<T>();
    const int64_t n = a.y.numel(), done = aligned(y, 16) && aligned(dy, 16) && aligned(dx, 16) ? n / W * W : 0;
    for_each_index(ex, done / W, Backward<F, T, W>{y, dy, dx});
    for_each_index(ex, n - done, Backward<F, T, 1>{y + done, dy + done, dx + done});
  });
}

}  // namespace rk::cuda
