// A parameter's memory while its unit runs.
#pragma once
#include "device/exec.h"
#include "params/param_table.h"

namespace rk {

// The bound value.
inline Tensor value(const Exec& ex, const Param& p) {
  require(p.w || ex.dry(), "a parameter is bound while its unit runs");
  return p.w;
}

// Where gradients of p are added; null for a frozen parameter, which operators leave out.
inline Tensor grad(const Exec& ex, const Param& p) {
  if (!p.trainable) return {};
  require(p.dw || ex.dry(), "a gradient is bound while its unit's backward runs");
  return p.dw;
}

}  // namespace rk
