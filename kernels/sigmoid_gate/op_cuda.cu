// Forward reads r, v and the residual and writes y; backward reads r, v, dy and writes dr, dv, and gated where wanted.
#include "kernels/common/flat.cuh"
#include "kernels/sigmoid_gate/op.h"

namespace rk::cuda {
namespace {

template <class T, int W>
struct Forward {
  const T *r, *v, *residual;
  T* y;
  struct Loaded {
    Pack<T, W> r, v, residual;
  };
  __device__ Loaded load(int64_t i) const {
    Loaded in{load_pack<W>(r + i * W), load_pack<W>(v + i * W), {}};
    if (residual) in.residual = load_pack<W>(residual + i * W);
    return in;
  }
  __device__ void store(int64_t i, const Loaded& in) const {
    float out[W], gate[W], more[W];
    to_floats(in.r, gate);
    to_floats(in.v, out);
    to_floats(in.residual, more);
#pragma unroll
    for (int j = 0; j < W; ++j) out[j] = more[j] + sigmoid(gate[j]) * out[j];
    cuda::store(y + i * W, out);
  }
};

template <class T, int W>
struct Backward {
  const T *r, *v, *dy;
  T *dr, *dv, *gated;
  struct Loaded {
    Pack<T, W> r, v, dy;
  };
  __device__ Loaded load(int64_t i) const { return {load_pack<W>(r + i * W), load_pack<W>(v + i * W), load_pack<W>(dy + i * W)}; }
  __device__ void store(int64_t i, const Loaded& in) const {
    float gate[W], value[W], up[W], out[W];
    to_floats(in.r, gate);
    to_floats(in.v, value);
    to_floats(in.dy, up);
#pragma unroll
    for (int j = 0; j < W; ++j) {
      gate[j] = sigmoid(gate[j]);
      out[j] = up[j] * value[j] * gate[j] * (1.0f - gate[j]);
      up[j] *= gate[j];
      value[j] *= gate[j];
    }
    cuda::store(dr + i * W, out);
    cuda::store(dv + i * W, up);
    if (gated) cuda::store(gated + i * W, value);
  }
};

// Elements that are moved in whole packs.
template <class T>
int64_t in_packs(int64_t n, std::initializer_list<const void*> tensors) {
  bool fits = true;
  for (const void* p : tensors) fits = fits && aligned(p, 16);
  return fits ? n / kWide<T> * kWide<T> : 0;
}

template <class T>
T* behind(T* p, int64_t n) {
  return p ? p + n : nullptr;
}

}  // namespace

void run(const Exec& ex, const SigmoidGateForward& a) {
  if (ex.dry()) return;
  with_dtype(a.r.dtype, [&]<class T>() {
    constexpr int W = kWide<T>;
    const T *r = a.r.as<T>(), *v = a.v.as<T>(), *residual = maybe<T>(a.residual);
    T* y = a.y.as<T>();
    const int64_t n = a.r.numel(), done = in_packs<T>(n, {r, v, residual, y});
    for_each_index(ex, done / W, Forward<T, W>{r, v, residual, y});
    for_each_index(ex, n - done, Forward<T, 1>{r + done, v + done, behind(residual, done), y + done});
  });
}

void run(const Exec& ex, const SigmoidGateBackward& a) {
  if (ex.dry()) return;
  with_dtype(a.r.dtype, [&]<class T>() {
    constexpr int W = kWide<T>;
    const T *r = a.r.as<T>(), *v = a.v.as<T>(), *dy = a.dy.as<T>();
    T *dr = a.dr.as<T>(), *dv = a.dv.as<T>(), *gated = maybe<T>(a.gated);
    const int64_t n = a.r.numel(), done = in_packs<T>(n, {r, v, dy, dr, dv, gated});
    for_each_index(ex, done / W, Backward<T, W>{r, v, dy, dr, dv, gated});
    for_each_index(ex, n - done, Backward<T, 1>{r + done, v + done, dy + done, dr + done, dv + done, behind(gated, done)});
  });
}

}  // namespace rk::cuda
