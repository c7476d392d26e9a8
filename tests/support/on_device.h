// Numbers between the host and tensors anywhere, as doubles.
#pragma once
#include <span>
#include <vector>

#include "device/exec.h"
#include "io/convert.h"

namespace rk::test {

inline void put_doubles(const Exec& ex, std::span<const double> from, const Tensor& to) {
  const Buffer staged(Device::cpu, to.n_bytes());
  convert_elements(DType::f64, from.data(), to.dtype, staged.data(), to.numel());
  copy(ex, staged.tensor(to.dtype, to.shape), to);
}

inline std::vector<double> get_doubles(const Exec& ex, const Tensor& from) {
  const Buffer staged(Device::cpu, from.n_bytes());
  const Tensor on_host = staged.tensor(from.dtype, from.shape);
  copy(ex, from, on_host);
  std::vector<double> to(static_cast<size_t>(from.numel()));
  convert_elements(from.dtype, on_host.data, DType::f64, to.data(), from.numel());
  return to;
}

}  // namespace rk::test
