// What CUDA C++ has no words for: keeping the compiler from being clever.
#pragma once
#include "kernels/common/launch.cuh"

namespace rk::cuda {

#ifndef ROOKERY_CUDA_EMULATED

// The compiler takes x for new: what was computed from it is computed again rather than kept.
__device__ __forceinline__ void forget(uint4& x) { asm volatile("" : "+r"(x.x), "+r"(x.y), "+r"(x.z), "+r"(x.w)); }

#else

inline void forget(uint4&) {}

#endif

}  // namespace rk::cuda
