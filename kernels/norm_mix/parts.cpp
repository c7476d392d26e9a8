#include "kernels/norm_mix/parts.h"

#include "kernels/layer_norm/op.h"
#include "kernels/token_shift/op.h"

namespace rk {
namespace {

// The parts of one operator do not show as operators.
Exec unwatched(const Exec& ex) {
  Exec inner = ex;
  inner.watch = nullptr;
  return inner;
}

}  // namespace

void run_in_parts(const Exec& ex, const NormMixForward& a) {
  const Exec inner = unwatched(ex);
  ArenaScope scope(*ex.scratch);
  const Tensor z = ex.scratch->take(a.x.dtype, a.x.shape);
  run(inner, LayerNormForward{.x = a.x, .weight = a.weight, .bias = a.bias, .y = z, .eps = a.eps});
  run(inner, TokenShiftForward{.x = z,
                               .state_in = a.state_in,
                               .state_out = a.state_out,
                               .n = a.n,
                               .mu_of_self = a.mu_of_self,
                               .mu = a.mu,
                               .y = a.y,
                               .more = {},
                               .resets = a.resets});
}

void run_in_parts(const Exec& ex, const NormMixBackward& a) {
  const Exec inner = unwatched(ex);
  ArenaScope scope(*ex.scratch);
  const int64_t R = a.x.shape[0] * a.x.shape[1];
  const DType sum = acc_dtype(a.x.dtype);
  const Tensor z = ex.scratch->take(a.x.dtype, a.x.shape), dz = ex.scratch->take(a.x.dtype, a.x.shape);
  const Tensor mean = ex.scratch->take(sum, {R}), rstd = ex.scratch->take(sum, {R});
  run(inner, LayerNormForward{.x = a.x, .weight = a.weight, .bias = a.bias, .y = z, .mean = mean, .rstd = rstd, .eps = a.eps});
  run(inner, TokenShiftBackward{.x = z,
                                .state_in = a.state_in,
                                .dx = dz,
                                .dstate_out = a.dstate_out,
                                .dstate_in = a.dstate_in,
                                .n = a.n,
                                .mu_of_self = a.mu_of_self,
                                .mu = a.mu,
                                .dmu = a.dmu,
                                .dy = a.dy,
                                .more = {},
                                .dmore = {},
                                .resets = a.resets});
  run(inner, LayerNormBackward{.x = a.x,
                               .weight = a.weight,
                               .mean = mean,
                               .rstd = rstd,
                               .dy = dz,
                               .dx = a.dx,
                               .dweight = a.dweight,
                               .dbias = a.dbias,
                               .add_dx = true});
}

}  // namespace rk
