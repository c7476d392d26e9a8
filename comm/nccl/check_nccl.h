// The one include of NCCL, and the check of every call. Only for files that are built with NCCL.
#pragma once
#include <nccl.h>

#include "device/cuda_check.h"

namespace rk {

inline void check(ncclResult_t r, Where at = Where::here()) {
  if (r != ncclSuccess) [[unlikely]]
    fail(cat("NCCL: ", ncclGetErrorString(r), " (", ncclGetLastError(nullptr), "); NCCL_DEBUG=WARN tells more"), ExitCode::failure, at);
}

}  // namespace rk
