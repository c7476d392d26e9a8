#include "model/rwkv7/channel_mix.h"

#include "kernels/activation/op.h"
#include "kernels/norm_mix/op.h"
#include "nn/bound.h"

namespace rk::rwkv7 {

ChannelMix::ChannelMix(const ChannelMixParams& p, const ModelSpec& spec)
    : p_(p), dtype_(spec.dtype), key_(*p.key, WeightLayout::out_in), value_(*p.value, WeightLayout::out_in) {}

Tensor ChannelMix::mix(const Exec& ex, const Shape& shape, Tensor x, Tensor resets, Tensor shift_in, Tensor shift_out) const {
  const Tensor mixed = ex.scratch->take(dtype_, x.shape);
  run(ex, NormMixForward{.x = x.view(shape),
                         .weight = value(ex, *p_.ln2.weight),
                         .bias = value(ex, *p_.ln2.bias),
                         .state_in = shift_in,
                         .state_out = shift_out,
                         .n = 1,
                         .mu = {value(ex, *p_.x_k)},
                         .y = {mixed.view(shape)},
                         .resets = resets});
  return mixed;
}

void ChannelMix::forward(const Exec& ex, const MixForward& a, Saved* saved) const {
  const ArenaScope scope(*ex.scratch);
  const Tensor hidden = take_hidden(saved ? *ex.kept : *ex.scratch, a.B * a.T);
  const Tensor mixed = mix(ex, {a.B, a.T, key_.n_in()}, a.x, a.resets, a.shift_in, a.shift_out);
  key_.forward(ex, {.x = mixed, .y = hidden});
  run(ex, ActivationForward{.f = Activation::relu2, .x = hidden, .y = hidden});
  value_.forward(ex, {.x = hidden, .y = a.out, .residual = a.x});
  if (saved) saved->hidden = hidden;
}

void ChannelMix::backward(const Exec& ex, const MixBackward& a, const Saved& saved) const {
  const ArenaScope scope(*ex.scratch);
  const Shape shape{a.B, a.T, key_.n_in()};
  const Tensor mixed = mix(ex, shape, a.x, a.resets, a.shift_in, {}), dmixed = mixed;
  const Tensor dhidden = take_hidden(*ex.scratch, a.B * a.T);
  value_.backward(ex, {.x = saved.hidden, .dy = a.dx, .dx = dhidden});
  run(ex, ActivationBackward{.f = Activation::relu2, .y = saved.hidden, .dy = dhidden, .dx = dhidden});
  key_.backward(ex, {.x = mixed, .dy = dhidden, .dx = dmixed});
  run(ex, NormMixBackward{.x = a.x.view(shape),
                          .weight = value(ex, *p_.ln2.weight),
                          .bias = value(ex, *p_.ln2.bias),
                          .state_in = a.shift_in,
                          .dx = a.dx.view(shape),
                          .dstate_out = a.dshift_out,
                          .dstate_in = a.dshift_in,
                          .n = 1,
                          .mu = {value(ex, *p_.x_k)},
                          .dmu = {grad(ex, *p_.x_k)},
                          .dy = {dmixed.view(shape)},
                          .dweight = grad(ex, *p_.ln2.weight),
                          .dbias = grad(ex, *p_.ln2.bias),
                          .resets = a.resets});
}

}  // namespace rk::rwkv7
