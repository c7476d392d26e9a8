// The only global names that a .pth may mention.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/dtype.h"

namespace rk::pickle {

enum class Function : uint8_t {
  ordered_dict,
  rebuild_tensor_v2,
  rebuild_tensor_v3,
  rebuild_parameter,
  storage,
  untyped_storage,
  size,
  device,
  dtype,
  encode,
  set,
};

struct Global {
  std::string_view module, name;
  Function function;
  std::optional<DType> dtype;  // of a storage or dtype that tensors may have here
  size_t element_bytes = 0;
};

std::span<const Global> allow_list();
// By the exact pair, else null.
const Global* find_global(std::string_view module, std::string_view name);

}  // namespace rk::pickle
