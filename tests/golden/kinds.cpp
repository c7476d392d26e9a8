#include "golden/handlers.h"

namespace rk::golden {

std::span<const Kind> kinds() {
  static const std::vector<Kind> table{
      // name, handler, has bf16 limits, has worlds of several ranks
  };
  return table;
}

}  // namespace rk::golden
