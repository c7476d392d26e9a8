// What CUDA C++ has no words for: an exponential that flushes tiny results, and keeping the compiler from being clever.
#pragma once
#include "kernels/common/launch.cuh"

namespace rk::cuda {

#ifndef ROOKERY_CUDA_EMULATED

// 2^x by one instruction: results below 2^-126 are zero, others at most 2 ulp off.
__device__ __forceinline__ float fast_exp2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// The compiler takes x for new: what was computed from it is computed again rather than kept.
__device__ __forceinline__ void forget(uint4& x) { asm volatile("" : "+r"(x.x), "+r"(x.y), "+r"(x.z), "+r"(x.w)); }

#else

inline float fast_exp2(float x) { return exp2f(x); }
inline void forget(uint4&) {}

#endif

}  // namespace rk::cuda
