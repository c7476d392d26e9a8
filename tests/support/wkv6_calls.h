// Calls of WKV-6 and WKV-5 by the names of their tensors, for OpCases.
#pragma once
#include "kernels/wkv6/op.h"
#include "support/op_case.h"

namespace rk::test {

inline Wkv6Forward wkv6_forward(const Tensors& t, const Tensor& y, const Tensor& saved) {
  return {.r = t("r"),
          .k = t("k"),
          .v = t("v"),
          .w = t("w"),
          .u = t("u"),
          .y = y,
          .state_in = t("state_in"),
          .state_out = t("state_out"),
          .saved_states = saved,
          .resets = t("resets")};
}

// Forward, whose saved states are nobody else's business, then backward. y is scratch where the case has none.
inline void run_wkv6_both(const Exec& ex, const Tensors& t) {
  const ArenaScope scope(*ex.scratch);
  const Tensor saved = take_wkv6_saved(ex, *ex.scratch, t("r").dtype, t("r").shape);
  const Tensor y = t("y").shape.rank > 0 ? t("y") : ex.scratch->take(t("r").dtype, t("r").shape);
  run(ex, wkv6_forward(t, y, saved));
  run(ex, Wkv6Backward{.r = t("r"),
                       .k = t("k"),
                       .v = t("v"),
                       .w = t("w"),
                       .u = t("u"),
                       .saved_states = saved,
                       .dy = t("dy"),
                       .dstate_out = t("dstate_out"),
                       .dr = t("dr"),
                       .dk = t("dk"),
                       .dv = t("dv"),
                       .dw = t("dw"),
                       .du = t("du"),
                       .dstate_in = t("dstate_in"),
                       .resets = t("resets")});
}

}  // namespace rk::test
