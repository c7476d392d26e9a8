// Approximations of a single instruction: relative error about 2^-22, numbers below 2^-126 are zero.
#pragma once
#include "kernels/common/launch.cuh"

namespace rk::cuda {

#ifndef ROOKERY_CUDA_EMULATED

__device__ __forceinline__ float fast_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
__device__ __forceinline__ float fast_reciprocal(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

#else

inline float fast_exp2(float x) {
  const float y = ::exp2f(x);
  return y < 0x1p-126f ? 0.0f : y;
}
inline float fast_reciprocal(float x) {
  const float y = 1.0f / x;
  return ::fabsf(y) < 0x1p-126f ? 0.0f : y;
}

#endif

}  // namespace rk::cuda
