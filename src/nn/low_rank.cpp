#include "nn/low_rank.h"

namespace rk {

void LowRank::forward(const Exec& ex, const LowRankForward& a) const {
  a_.forward(ex, {.x = a.x, .y = a.hidden});
  if (f_) run(ex, ActivationForward{.f = *f_, .x = a.hidden, .y = a.hidden});
  expand(ex, a);
}

void LowRank::backward(const Exec& ex, const LowRankBackward& a) const {
  const ArenaScope scope(*ex.scratch);
  const Tensor dhidden = ex.scratch->take(a.hidden.dtype, a.hidden.shape);
  b_.backward(ex, {.x = a.hidden, .dy = a.dy, .dx = dhidden});
  if (f_) run(ex, ActivationBackward{.f = *f_, .y = a.hidden, .dy = dhidden, .dx = dhidden});
  a_.backward(ex, {.x = a.x, .dy = dhidden, .dx = a.dx, .add_dx = a.add_dx});
}

}  // namespace rk
