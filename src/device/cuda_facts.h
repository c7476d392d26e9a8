// What can be told of CUDA and its devices before one is taken. All empty in a build without CUDA or where there is no driver.
#pragma once
#include <string>

namespace rk {

std::string cuda_runtime_version();  // "13.0"
std::string cuda_driver_version();   // newest CUDA version that the driver speaks: "13.1"
std::string gpu_name(int index);     // as GpuOptions counts; no context is made

}  // namespace rk
