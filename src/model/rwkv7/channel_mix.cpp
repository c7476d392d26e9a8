#include "model/rwkv7/channel_mix.h"

#include "kernels/activation/op.h"
#include "kernels/token_shift/op.h"

namespace rk::rwkv7 {

ChannelMix::ChannelMix(const ChannelMixParams& p, const ModelSpec& spec)
    : p_(p),
      dtype_(spec.dtype),
      ln2_(*p.ln2.weight, *p.ln2.bias),
      key_(*p.key, WeightLayout::out_in),
      value_(*p.value, WeightLayout::out_in) {}

ChannelMix::Input ChannelMix::mix(const Exec& ex, const Shape& shape, Tensor x, Tensor shift_in, Tensor shift_out) const {
  Input in;
  in.normed = ex.scratch->take(dtype_, x.shape);
  in.mixed = ex.scratch->take(dtype_, x.shape);
  in.stats = take_norm_stats(*ex.scratch, dtype_, x.shape[0]);
  ln2_.forward(ex, {.x = x, .y = in.normed, .stats = in.stats});
  run(ex, TokenShiftForward{.x = in.normed.view(shape),
                            .state_in = shift_in,
                            .state_out = shift_out,
                            .n = 1,
                            .mu = {value(ex, *p_.x_k)},
                            .y = {in.mixed.view(shape)}});
  return in;
}

void ChannelMix::forward(const Exec& ex, const ChannelMixForward& a) const {
  const ArenaScope scope(*ex.scratch);
  const Input in = mix(ex, {a.B, a.T, key_.n_in()}, a.residual, a.shift_in, a.shift_out);
  key_.forward(ex, {.x = in.mixed, .y = a.hidden});
  run(ex, ActivationForward{.f = Activation::relu2, .x = a.hidden, .y = a.hidden});
  value_.forward(ex, {.x = a.hidden, .y = a.residual, .add = true});
}

void ChannelMix::backward(const Exec& ex, const ChannelMixBackward& a) const {
  const ArenaScope scope(*ex.scratch);
  const Shape shape{a.B, a.T, key_.n_in()};
  const Input in = mix(ex, shape, a.x, a.shift_in, {});
  const Tensor dhidden = take_hidden(*ex.scratch, a.B * a.T), dmixed = ex.scratch->take(dtype_, a.x.shape);
  value_.backward(ex, {.x = a.hidden, .dy = a.dx, .dx = dhidden});
  run(ex, ActivationBackward{.f = Activation::relu2, .y = a.hidden, .dy = dhidden, .dx = dhidden});
  key_.backward(ex, {.x = in.mixed, .dy = dhidden, .dx = dmixed});
  const Tensor dnormed = in.mixed;  // needed no longer
  run(ex, TokenShiftBackward{.x = in.normed.view(shape),
                             .state_in = a.shift_in,
                             .dx = dnormed.view(shape),
                             .dstate_out = a.dshift_out,
                             .dstate_in = a.dshift_in,
                             .n = 1,
                             .mu = {value(ex, *p_.x_k)},
                             .dmu = {grad(ex, *p_.x_k)},
                             .dy = {dmixed.view(shape)}});
  ln2_.backward(ex, {.x = a.x, .stats = in.stats, .dy = dnormed, .dx = a.dx, .add_dx = true});
}

}  // namespace rk::rwkv7
