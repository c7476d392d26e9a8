// An execution environment on a GPU for tests and benches.
#pragma once
#include <cstring>
#include <vector>

#include "device/exec.h"

namespace rk::test {

class GpuExec {
 public:
  explicit GpuExec(size_t scratch_bytes = size_t{64} << 20, size_t kept_bytes = 0, int arch_limit = 0)
      : gpu_(GpuOptions{.arch_limit = arch_limit}), scratch_(Buffer(Device::cuda, scratch_bytes)), kept_(Buffer(Device::cuda, kept_bytes)) {
    ex_ = {.device = Device::cuda, .kept = &kept_, .scratch = &scratch_, .gpu = &gpu_};
  }
  GpuExec(const GpuExec&) = delete;
  GpuExec& operator=(const GpuExec&) = delete;

  const Exec& ex() const { return ex_; }
  Exec& ex() { return ex_; }
  Gpu& gpu() { return gpu_; }
  Arena& scratch() { return scratch_; }

 private:
  Gpu gpu_;
  Arena scratch_, kept_;
  Exec ex_;
};

}  // namespace rk::test
