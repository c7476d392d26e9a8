// Functions of the CUDA driver that its runtime does not have, found through the runtime, so that nothing links to libcuda.
#pragma once
#include <cuda.h>
#include <cuda_runtime_api.h>

#include "base/error.h"

namespace rk {

// Null where the driver lacks it.
template <class Function>
Function driver_function(const char* name) {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult how{};
  if (cudaGetDriverEntryPointByVersion(name, &found, 12000, cudaEnableDefault, &how) != cudaSuccess || how != cudaDriverEntryPointSuccess) {
    cudaGetLastError();  // told by the null
    return nullptr;
  }
  return reinterpret_cast<Function>(found);
}

inline void check_driver(CUresult r, Where at = Where::here()) {
  if (r != CUDA_SUCCESS) [[unlikely]]
    fail(cat("CUDA driver: error ", static_cast<int>(r)), ExitCode::failure, at);
}

}  // namespace rk
