#include "golden/handlers.h"

namespace rk::golden {

std::span<const Kind> kinds() {
  static const std::vector<Kind> table{
      // name, handler, has bf16 limits, has worlds of several ranks
      {"rwkv7/forward_trained", run_forward_trained, false},
      {"rwkv7/forward_trained_text", run_forward_trained_text, true},
      {"rwkv7/grads_one_step", run_grads_one_step, true},
      {"rwkv7/infctx", run_infctx, true},
      {"rwkv7/init", run_init, false},
  };
  return table;
}

}  // namespace rk::golden
