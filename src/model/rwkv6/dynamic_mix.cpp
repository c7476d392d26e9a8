#include "model/rwkv6/dynamic_mix.h"

#include "kernels/activation/op.h"
#include "kernels/columns/op.h"
#include "kernels/elementwise/op.h"
#include "kernels/token_shift/op.h"

namespace rk::rwkv6 {

DynamicMix::DynamicMix(const DynamicMixParams& p, const ModelSpec& spec)
    : p_(p),
      mixes_(mixes_of(variant_of(spec.arch))),
      C_(spec.n_embd),
      dtype_(spec.dtype),
      ln1_(*p.ln1.weight, *p.ln1.bias),
      w1_(*p.w1, WeightLayout::in_out) {
  for (size_t f = 0; f < mixes_.size(); ++f) w2_.emplace_back(*p.w2, WeightLayout::in_out, static_cast<int64_t>(f));
}

DynamicMix::Normed DynamicMix::norm(const Exec& ex, Tensor x) const {
  const Normed n{ex.scratch->take(dtype_, x.shape), take_norm_stats(*ex.scratch, dtype_, x.shape[0])};
  ln1_.forward(ex, {.x = x, .y = n.z, .stats = n.stats});
  return n;
}

void DynamicMix::hide(const Exec& ex, const MixForward& a, const Normed& n, Tensor hidden, Tensor room) const {
  const Shape shape{a.B, a.T, C_};
  run(ex, TokenShiftForward{.x = n.z.view(shape),
                            .state_in = a.shift_in,
                            .state_out = {},
                            .n = 1,
                            .mu = {value(ex, *p_.maa_x)},
                            .y = {room.view(shape)},
                            .more = {},
                            .resets = a.resets});
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

Tensor DynamicMix::part(const Tensor& parts, size_t f) const {
  return parts.rows(static_cast<int64_t>(f) * parts.shape[1], parts.shape[1]);
}

void DynamicMix::widen(const Exec& ex, const Tensor& parts, const Mixes& more) const {
  for (size_t f = 0; f < mixes_.size(); ++f) w2_[f].forward(ex, {.x = part(parts, f), .y = more[mixes_[f]]});
}

void DynamicMix::mix(const Exec& ex, const MixForward& a, const Normed& n, Tensor hidden, const Mixes& y) const {
  const ArenaScope scope(*ex.scratch);
  const Shape shape{a.B, a.T, C_};
  widen(ex, split(ex, hidden), y);
  TokenShiftForward f{.x = n.z.view(shape),
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

// Sets dz and dshift_in; gradients of the token's part of the weights take the place of dy.
void DynamicMix::shift_backward(const Exec& ex, const MixBackward& a, const Normed& n, const Mixes& dy, const Mixes& more,
                                Tensor dz) const {
  const Shape shape{a.B, a.T, C_};
  TokenShiftBackward b{.x = n.z.view(shape),
                       .state_in = a.shift_in,
                       .dx = dz.view(shape),
                       .dstate_out = a.dshift_out,
                       .dstate_in = a.dshift_in,
                       .n = static_cast<int>(mixes_.size()),
                       .mu = {},
                       .dmu = {},
                       .dy = {},
                       .more = {},
                       .dmore = {},
                       .resets = a.resets};
  for (size_t i = 0; i < mixes_.size(); ++i) {
    const Mix m = mixes_[i];
    b.mu[i] = value(ex, *p_.maa[m]);
    b.dmu[i] = grad(ex, *p_.maa[m]);
    b.dy[i] = b.dmore[i] = dy[m].view(shape);
    b.more[i] = more[m].view(shape);
  }
  run(ex, b);
}

// From the gradient of the hidden values to dz and dshift_in, to which it adds. room [R,C] is overwritten.
void DynamicMix::hide_backward(const Exec& ex, const MixBackward& a, const Normed& n, Tensor hidden, Tensor dhidden, const Tensor& room,
                               Tensor dz) const {
  const ArenaScope scope(*ex.scratch);
  const Shape shape{a.B, a.T, C_};
  run(ex, ActivationBackward{.f = Activation::tanh, .y = hidden, .dy = dhidden, .dx = dhidden});
  run(ex, TokenShiftForward{.x = n.z.view(shape),
                            .state_in = a.shift_in,
                            .state_out = {},
                            .n = 1,
                            .mu = {value(ex, *p_.maa_x)},
                            .y = {room.view(shape)},
                            .more = {},
                            .resets = a.resets});
  w1_.backward(ex, {.x = room, .dy = dhidden, .dx = room});
  const bool wants_state = a.dshift_in.shape.rank > 0;
  const Tensor dstate = wants_state ? ex.scratch->take(a.dshift_in.dtype, a.dshift_in.shape) : Tensor{};
  run(ex, TokenShiftBackward{.x = n.z.view(shape),
                             .state_in = a.shift_in,
                             .dx = dz.view(shape),
                             .dstate_out = {},
                             .dstate_in = dstate,
                             .n = 1,
                             .mu = {value(ex, *p_.maa_x)},
                             .dmu = {grad(ex, *p_.maa_x)},
                             .dy = {room.view(shape)},
                             .more = {},
                             .dmore = {},
                             .add_dx = true,
                             .resets = a.resets});
  if (wants_state) run(ex, Add{.x = dstate, .y = a.dshift_in});
}

void DynamicMix::backward(const Exec& ex, const MixBackward& a, const Normed& n, Tensor hidden, const Mixes& dy,
                          const Mixes& places) const {
  const ArenaScope scope(*ex.scratch);
  const Tensor parts = split(ex, hidden), dparts = parts, dhidden = ex.scratch->take(dtype_, hidden.shape);
  const Tensor dz = ex.scratch->take(dtype_, n.z.shape);
  widen(ex, parts, places);
  shift_backward(ex, a, n, dy, places, dz);
  for (size_t f = 0; f < mixes_.size(); ++f) w2_[f].backward(ex, {.x = part(parts, f), .dy = dy[mixes_[f]], .dx = part(dparts, f)});
  run(ex, JoinColumns{.parts = dparts, .whole = dhidden});
  hide_backward(ex, a, n, hidden, dhidden, places[mixes_[0]], dz);
  ln1_.backward(ex, {.x = a.x, .stats = n.stats, .dy = dz, .dx = a.dx, .add_dx = true});
}

}  // namespace rk::rwkv6
