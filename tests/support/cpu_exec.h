// An execution environment on the CPU for tests and benches.
#pragma once
#include <cstddef>
#include <memory>

#include "device/exec.h"

namespace rk::test {

class CpuExec {
 public:
  explicit CpuExec(int threads = 1, size_t scratch_bytes = size_t{256} << 20, size_t kept_bytes = 0)
      : pool_(threads), scratch_(Buffer(Device::cpu, scratch_bytes)), kept_(Buffer(Device::cpu, kept_bytes)) {
    ex_ = {.device = Device::cpu, .pool = &pool_, .kept = &kept_, .scratch = &scratch_};
  }
  CpuExec(const CpuExec&) = delete;
  CpuExec& operator=(const CpuExec&) = delete;

  const Exec& ex() const { return ex_; }
  Arena& scratch() { return scratch_; }
  Arena& kept() { return kept_; }

 private:
  ThreadPool pool_;
  Arena scratch_, kept_;
  Exec ex_;
};

}  // namespace rk::test
