// 2^x and 1/x by one instruction each (relative errors 2^-22 and 2^-23; results below 2^-126 are 0).
#pragma once
#include "kernels/common/launch.cuh"

namespace rk::cuda::wkv7 {

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

inline float fast_exp2(float x) { return exp2f(x); }
inline float fast_reciprocal(float x) { return 1.0f / x; }

#endif

}  // namespace rk::cuda::wkv7
