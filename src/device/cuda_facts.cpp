#include "device/cuda_facts.h"

#include "base/error.h"

#ifdef ROOKERY_CUDA
#include <cuda_runtime_api.h>

#include "device/cuda_check.h"
#include "device/gpu.h"
#endif

namespace rk {

#ifdef ROOKERY_CUDA

static std::string version_text(int v) { return v > 0 ? cat(v / 1000, ".", v % 1000 / 10) : ""; }

std::string cuda_runtime_version() {
  int v = 0;
  check(cudaRuntimeGetVersion(&v));
  return version_text(v);
}

std::string cuda_driver_version() {
  int v = 0;  // stays 0 without a driver
  check(cudaDriverGetVersion(&v));
  return version_text(v);
}

std::string gpu_name(int index) {
  if (index < 0 || index >= n_gpus()) return {};
  cudaDeviceProp p{};
  check(cudaGetDeviceProperties(&p, index));
  return p.name;
}

#else

std::string cuda_runtime_version() { return {}; }
std::string cuda_driver_version() { return {}; }
std::string gpu_name(int) { return {}; }

#endif

}  // namespace rk
