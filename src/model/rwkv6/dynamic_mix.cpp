#include "model/rwkv6/dynamic_mix.h"

#include "kernels/activation/op.h"
#include "kernels/columns/op.h"
#include "kernels/elementwise/op.h"
#include "nn/bound.h"

namespace rk::rwkv6 {

DynamicMix::DynamicMix(const DynamicMixParams& p, const ModelSpec& spec)
    : p_(p), mixes_(mixes_of(variant_of(spec.arch))), C_(spec.n_embd), dtype_(spec.dtype), w1_(*p.w1, WeightLayout::in_out) {
  for (size_t f = 0; f < mixes_.size(); ++f) w2_.emplace_back(*p.w2, WeightLayout::in_out, static_cast<int64_t>(f));
}

// z + (prev - z) maa_x.
void DynamicMix::mix_first(const Exec& ex, const MixForward& a, Tensor y) const {
  const Shape shape{a.B, a.T, C_};
  run(ex, NormMixForward{.x = a.x.view(shape),
                         .weight = value(ex, *p_.ln1.weight),
                         .bias = value(ex, *p_.ln1.bias),
                         .state_in = a.shift_in,
                         .state_out = {},
                         .n = 1,
                         .mu = {value(ex, *p_.maa_x)},
                         .y = {y.view(shape)},
                         .more = {},
                         .resets = a.resets});
}

void DynamicMix::hide(const Exec& ex, const MixForward& a, Tensor hidden, Tensor room) const {
  mix_first(ex, a, room);
  w1_.forward(ex, {.x = room, .y = hidden});
  run(ex, ActivationForward{.f = Activation::tanh, .x = hidden, .y = hidden});
}

// The hidden values of each mix as a matrix of its own, [n,R,M].
Tensor DynamicMix::split(const Exec& ex, Tensor hidden) const {
  const auto n = static_cast<int64_t>(mixes_.size());
  const Tensor parts = ex.scratch->take(dtype_, {n, hidden.shape[0], hidden.shape[1] / n});
  run(ex, SplitColumns{.whole = hidden, .parts = parts});
  return parts;
}

static Tensor part(const Tensor& parts, size_t f) { return parts.rows(static_cast<int64_t>(f) * parts.shape[1], parts.shape[1]); }

// The part of the weights that depends on the token.
void DynamicMix::widen(const Exec& ex, const Tensor& parts, const Mixes& more) const {
  for (size_t f = 0; f < mixes_.size(); ++f) w2_[f].forward(ex, {.x = part(parts, f), .y = more[mixes_[f]]});
}

void DynamicMix::mix(const Exec& ex, const MixForward& a, Tensor hidden, const Mixes& y) const {
  const ArenaScope scope(*ex.scratch);
  const Shape shape{a.B, a.T, C_};
  widen(ex, split(ex, hidden), y);
  NormMixForward f{.x = a.x.view(shape),
                   .weight = value(ex, *p_.ln1.weight),
                   .bias = value(ex, *p_.ln1.bias),
                   .state_in = a.shift_in,
                   .state_out = a.shift_out,
                   .n = static_cast<int>(mixes_.size()),
                   .mu = {},
                   .y = {},
                   .more = {},
                   .resets = a.resets};
  for (size_t i = 0; i < mixes_.size(); ++i) {
    f.mu[i] = value(ex, *p_.maa[mixes_[i]]);
    f.y[i] = f.more[i] = y[mixes_[i]].view(shape);
  }
  run(ex, f);
}

// What both backwards have; mixes and states are the caller's.
NormMixBackward DynamicMix::norm_backward(const Exec& ex, const MixBackward& a) const {
  const Shape shape{a.B, a.T, C_};
  NormMixBackward b;
  b.x = a.x.view(shape);
  b.weight = value(ex, *p_.ln1.weight);
  b.bias = value(ex, *p_.ln1.bias);
  b.state_in = a.shift_in;
  b.dx = a.dx.view(shape);
  b.dweight = grad(ex, *p_.ln1.weight);
  b.dbias = grad(ex, *p_.ln1.bias);
  b.resets = a.resets;
  return b;
}

// Gradients of the token's part of the weights take the place of dy.
void DynamicMix::mix_backward(const Exec& ex, const MixBackward& a, const Mixes& dy, const Mixes& more) const {
  NormMixBackward b = norm_backward(ex, a);
  b.dstate_out = a.dshift_out;
  b.dstate_in = a.dshift_in;
  b.n = static_cast<int>(mixes_.size());
  for (size_t i = 0; i < mixes_.size(); ++i) {
    const Mix m = mixes_[i];
    b.mu[i] = value(ex, *p_.maa[m]);
    b.dmu[i] = grad(ex, *p_.maa[m]);
    b.dy[i] = b.dmore[i] = dy[m].view(b.x.shape);
    b.more[i] = more[m].view(b.x.shape);
  }
  run(ex, b);
}

// Adds to dshift_in. room [R,C] is overwritten.
void DynamicMix::hide_backward(const Exec& ex, const MixBackward& a, Tensor hidden, Tensor dhidden, Tensor room) const {
  const ArenaScope scope(*ex.scratch);
  run(ex, ActivationBackward{.f = Activation::tanh, .y = hidden, .dy = dhidden, .dx = dhidden});
  mix_first(ex, formed_again(a), room);
  w1_.backward(ex, {.x = room, .dy = dhidden, .dx = room});
  NormMixBackward b = norm_backward(ex, a);
  const bool wants_state = a.dshift_in.shape.rank > 0;
  if (wants_state) b.dstate_in = ex.scratch->take(a.dshift_in.dtype, a.dshift_in.shape);
  b.n = 1;
  b.mu = {value(ex, *p_.maa_x)};
  b.dmu = {grad(ex, *p_.maa_x)};
  b.dy = {room.view(b.x.shape)};
  run(ex, b);
  if (wants_state) run(ex, Add{.x = b.dstate_in, .y = a.dshift_in});
}

void DynamicMix::backward(const Exec& ex, const MixBackward& a, Tensor hidden, const Mixes& dy, const Mixes& places) const {
  const ArenaScope scope(*ex.scratch);
  const Tensor parts = split(ex, hidden), dparts = parts, dhidden = ex.scratch->take(dtype_, hidden.shape);
  widen(ex, parts, places);
  mix_backward(ex, a, dy, places);
  for (size_t f = 0; f < mixes_.size(); ++f) w2_[f].backward(ex, {.x = part(parts, f), .dy = dy[mixes_[f]], .dx = part(dparts, f)});
  run(ex, JoinColumns{.parts = dparts, .whole = dhidden});
  hide_backward(ex, a, hidden, dhidden, places[mixes_[0]]);
}

}  // namespace rk::rwkv6
