#include "model/parts/gated_channel_mix.h"

#include "kernels/activation/op.h"
#include "kernels/norm_mix/op.h"
#include "kernels/sigmoid_gate/op.h"
#include "nn/bound.h"

namespace rk {

GatedChannelMixParams add_gated_channel_mix(const ParamAdder& ffn, NormParams norm, const ModelSpec& spec,
                                            const GatedChannelMixInit& init) {
  const int64_t C = spec.n_embd, F = spec.dim_ffn;
  const std::string prefix = init.mix_prefix;
  GatedChannelMixParams p;
  p.norm = norm;
  p.mix_k = ffn.add(prefix + "k", {1, 1, C}, init.mix);
  p.mix_r = ffn.add(prefix + "r", {1, 1, C}, init.mix);
  p.key = ffn.add("key.weight", {F, C}, init.key);
  p.receptance = ffn.add("receptance.weight", {C, C}, constant_init(0));
  p.value = ffn.add("value.weight", {C, F}, constant_init(0));
  return p;
}

GatedChannelMix::GatedChannelMix(const GatedChannelMixParams& p, const ModelSpec& spec, bool mu_of_self)
    : p_(p),
      dtype_(spec.dtype),
      mu_of_self_(mu_of_self),
      key_(*p.key, WeightLayout::out_in),
      receptance_(*p.receptance, WeightLayout::out_in),
      value_(*p.value, WeightLayout::out_in) {}

GatedChannelMix::Mixes GatedChannelMix::mix(const Exec& ex, const MixForward& a) const {
  const Shape shape{a.B, a.T, key_.n_in()};
  const Mixes mixes{ex.scratch->take(dtype_, a.x.shape), ex.scratch->take(dtype_, a.x.shape)};
  run(ex, NormMixForward{.x = a.x.view(shape),
                         .weight = value(ex, *p_.norm.weight),
                         .bias = value(ex, *p_.norm.bias),
                         .state_in = a.shift_in,
                         .state_out = a.shift_out,
                         .n = 2,
                         .mu_of_self = mu_of_self_,
                         .mu = {value(ex, *p_.mix_k), value(ex, *p_.mix_r)},
                         .y = {mixes.k.view(shape), mixes.r.view(shape)},
                         .resets = a.resets});
  return mixes;
}

void GatedChannelMix::forward(const Exec& ex, const MixForward& a, Saved* saved) const {
  const ArenaScope scope(*ex.scratch);
  Arena& arena = saved ? *ex.kept : *ex.scratch;
  Saved s;
  s.hidden = arena.take(dtype_, {a.B * a.T, key_.n_out()});
  if (saved) s.v = arena.take(dtype_, a.x.shape);
  const Tensor r = (ex.keep_less ? *ex.scratch : arena).take(dtype_, a.x.shape);
  if (!ex.keep_less) s.r = r;
  const Mixes mixes = mix(ex, a);
  receptance_.forward(ex, {.x = mixes.r, .y = r});
  key_.forward(ex, {.x = mixes.k, .y = s.hidden});
  run(ex, ActivationForward{.f = Activation::relu2, .x = s.hidden, .y = s.hidden});
  if (!saved) s.v = mixes.k;  // read no longer
  value_.forward(ex, {.x = s.hidden, .y = s.v});
  run(ex, SigmoidGateForward{.r = r, .v = s.v, .residual = a.x, .y = a.out});
  if (saved) *saved = s;
}

// Gradients take the places of what they are gradients of, as soon as that is read no longer.
void GatedChannelMix::backward(const Exec& ex, const MixBackward& a, const Saved& saved) const {
  const ArenaScope scope(*ex.scratch);
  const Shape shape{a.B, a.T, key_.n_in()};
  const Mixes mixes = mix(ex, formed_again(a));
  Tensor r = saved.r;
  if (ex.keep_less) {
    r = ex.scratch->take(dtype_, a.x.shape);
    receptance_.forward(ex, {.x = mixes.r, .y = r});
  }
  const Tensor dr = r, dv = saved.v, dhidden = ex.scratch->take(dtype_, saved.hidden.shape);
  run(ex, SigmoidGateBackward{.r = r, .v = saved.v, .dy = a.dx, .dr = dr, .dv = dv, .gated = {}});
  receptance_.backward(ex, {.x = mixes.r, .dy = dr, .dx = mixes.r});
  value_.backward(ex, {.x = saved.hidden, .dy = dv, .dx = dhidden});
  run(ex, ActivationBackward{.f = Activation::relu2, .y = saved.hidden, .dy = dhidden, .dx = dhidden});
  key_.backward(ex, {.x = mixes.k, .dy = dhidden, .dx = mixes.k});
  run(ex, NormMixBackward{.x = a.x.view(shape),
                          .weight = value(ex, *p_.norm.weight),
                          .bias = value(ex, *p_.norm.bias),
                          .state_in = a.shift_in,
                          .dx = a.dx.view(shape),
                          .dstate_out = a.dshift_out,
                          .dstate_in = a.dshift_in,
                          .n = 2,
                          .mu_of_self = mu_of_self_,
                          .mu = {value(ex, *p_.mix_k), value(ex, *p_.mix_r)},
                          .dmu = {grad(ex, *p_.mix_k), grad(ex, *p_.mix_r)},
                          .dy = {mixes.k.view(shape), mixes.r.view(shape)},
                          .dweight = grad(ex, *p_.norm.weight),
                          .dbias = grad(ex, *p_.norm.bias),
                          .resets = a.resets});
}

}  // namespace rk
