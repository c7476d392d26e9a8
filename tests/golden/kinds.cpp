#include "golden/handlers.h"

namespace rk::golden {

std::span<const Kind> kinds() {
  static const std::vector<Kind> table{
      // name, handler, has bf16 limits, has worlds of several ranks
      {"data/pth_files/valid", run_pth_valid, false, false},
      {"data/pth_files/hostile", run_pth_hostile, false, false},
      {"data/safetensors", run_safetensors, false, false},
  };
  return table;
}

}  // namespace rk::golden
