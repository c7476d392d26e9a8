// Where documents begin inside the rows of a batch, for operators that look at earlier tokens.
#pragma once
#include "device/tensor.h"

namespace rk {

// resets [B,T] u8, or null: none.
inline void check_resets(const Tensor& resets, int64_t B, int64_t T) {
  require(!resets || (resets.numel() == B * T && resets.dtype == DType::u8), "resets have one byte per token");
}
inline const uint8_t* reset_flags(const Tensor& resets) { return static_cast<const uint8_t*>(resets.data); }

}  // namespace rk
