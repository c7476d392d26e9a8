#include "launch/ai00.h"

#include <algorithm>

namespace rk {

bool transposed_for_ai00(const TensorInfo& t) {
  static constexpr std::string_view names[] = {"w1", "w2", "a1", "a2", "g1", "g2", "v1", "v2"};
  const size_t dot = t.name.rfind(".att.");
  if (!t.name.starts_with("blocks.") || dot == std::string::npos || t.shape.size() != 2) return false;
  return std::find(std::begin(names), std::end(names), std::string_view(t.name).substr(dot + 5)) != std::end(names);
}

}  // namespace rk
