// Every call of CUDA and cuBLASLt goes through check(). Only for files that are built with CUDA.
#pragma once
#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include "base/error.h"

namespace rk {

inline void check(cudaError_t e, Where at = Where::here()) {
  if (e != cudaSuccess) [[unlikely]]
    fail(cat("CUDA: ", cudaGetErrorString(e)), ExitCode::failure, at);
}
inline void check(cublasStatus_t s, Where at = Where::here()) {
  if (s != CUBLAS_STATUS_SUCCESS) [[unlikely]]
    fail(cat("cuBLASLt: ", cublasLtGetStatusString(s)), ExitCode::failure, at);
}

}  // namespace rk
