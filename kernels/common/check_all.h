// A promise about several tensors of an operator.
#pragma once
#include <initializer_list>

#include "device/tensor.h"

namespace rk {

// Each has n elements of this dtype.
inline void check_all(std::initializer_list<const Tensor*> tensors, int64_t n, DType dtype, const char* promise) {
  for (const Tensor* t : tensors) require(t->numel() == n && t->dtype == dtype, promise);
}

}  // namespace rk
