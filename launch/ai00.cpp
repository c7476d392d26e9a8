#include "launch/ai00.h"

#include <algorithm>
#include <cctype>

namespace rk {

static void replace(std::string& name, std::string_view from, std::string_view to) {
  if (const size_t at = name.find(from); at != std::string::npos) name.replace(at, from.size(), to);
}

std::string ai00_name(const std::string& name) {
  std::string other = name;
  replace(other, "time_faaaa", "time_first");
  replace(other, "time_maa", "time_mix");
  std::transform(other.begin(), other.end(), other.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return other;
}

bool transposed_for_ai00(const TensorInfo& t) {
  static constexpr std::string_view names[] = {"w1", "w2", "a1", "a2", "g1", "g2", "v1", "v2", "time_state"};
  const size_t dot = t.name.rfind(".att.");
  if (!t.name.starts_with("blocks.") || dot == std::string::npos || t.shape.size() < 2) return false;
  const std::string_view name = std::string_view(t.name).substr(dot + 5);
  return std::find(std::begin(names), std::end(names), name) != std::end(names) || name.ends_with("_w1") || name.ends_with("_w2");
}

}  // namespace rk
