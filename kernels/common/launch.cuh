// How kernels are started, and the dialect in which they are written: plain CUDA C++ without <<<>>> (launch() instead), dynamic shared
// memory through shared_memory<T>(), PTX only inside mma.cuh. So every .cu file is also valid C++ for the emulator of tests/emulator,
// which runs kernels on the CPU of a machine without a GPU.
#pragma once
#ifdef ROOKERY_CUDA_EMULATED
#include "emulator/cuda.h"
#else
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#endif

#include <algorithm>
#include <cstdint>

#include "device/cuda_check.h"
#include "device/exec.h"

namespace rk {

template <>
struct DTypeOf<__nv_bfloat16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct DTypeOf<__half> {
  static constexpr DType value = DType::f16;
};

namespace cuda {

// An optional tensor: null when absent.
template <class T>
T* maybe(const Tensor& t) {
  return t ? t.as<T>() : nullptr;
}

inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Calls f.operator()<T>() for the element type of a model on a GPU.
template <class F>
void with_dtype(DType t, const F& f) {
  switch (t) {
    case DType::f32: return f.template operator()<float>();
    case DType::bf16: return f.template operator()<__nv_bfloat16>();
    case DType::f16: return f.template operator()<__half>();
    default: broken_promise("operators compute in f32, bf16 or f16 on a GPU", Where::here());
  }
}

struct Launch {
  dim3 grid, block;
  size_t shared = 0;  // bytes of dynamic shared memory
};

#ifndef ROOKERY_CUDA_EMULATED

// This block's dynamic shared memory.
template <class T>
__device__ __forceinline__ T* shared_memory() {
  extern __shared__ __align__(1024) unsigned char rk_dynamic_shared[];
  return reinterpret_cast<T*>(rk_dynamic_shared);
}

// Queues kernel(args...) on ex.gpu's stream. A grid without blocks does nothing.
template <class... P, class... A>
void launch(const Exec& ex, void (*kernel)(P...), const Launch& l, A&&... args) {
  if (l.grid.x == 0 || l.grid.y == 0 || l.grid.z == 0) return;
  if (l.shared > 0)  // a kernel's static arrays count, too, so that no smaller bound is safe
    check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(l.shared)));
  cudaLaunchConfig_t config{};
  config.gridDim = l.grid;
  config.blockDim = l.block;
  config.dynamicSmemBytes = l.shared;
  config.stream = ex.gpu->stream();
  check(cudaLaunchKernelEx(&config, kernel, static_cast<P>(args)...));
}

#else

template <class T>
T* shared_memory() {
  return static_cast<T*>(emulator::dynamic_shared());
}

template <class... P, class... A>
void launch(const Exec&, void (*kernel)(P...), const Launch& l, A&&... args) {
  emulator::run(l.grid, l.block, l.shared, [&] { kernel(static_cast<P>(args)...); });
}

#endif

}  // namespace cuda
}  // namespace rk
