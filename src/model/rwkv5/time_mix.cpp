#include "model/rwkv5/time_mix.h"

#include "kernels/norm_mix/op.h"

namespace rk::rwkv5 {

static constexpr auto out_in = WeightLayout::out_in;

TimeMix::TimeMix(const TimeMixParams& p, const ModelSpec& spec)
    : p_(p),
      C_(spec.n_embd),
      dtype_(spec.dtype),
      receptance_(*p.receptance, out_in),
      key_(*p.key, out_in),
      value_(*p.value, out_in),
      gate_(*p.gate, out_in),
      wkv_(p.wkv, spec, WkvGate::silu) {}

TimeMix::Mixes TimeMix::weights(const Exec& ex) const {
  return {value(ex, *p_.mix_k), value(ex, *p_.mix_v), value(ex, *p_.mix_r), value(ex, *p_.mix_g)};
}

// Rows as [B,T,C].
TimeMix::Mixes TimeMix::in_sequences(const Mixes& rows, int64_t B) const {
  Mixes all;
  for (size_t m = 0; m < kMixes; ++m) all[m] = rows[m].view({B, rows[m].shape[0] / B, C_});
  return all;
}

void TimeMix::mix(const Exec& ex, const MixForward& a, const Mixes& y) const {
  run(ex, NormMixForward{.x = a.x.view({a.B, a.T, C_}),
                         .weight = value(ex, *p_.ln1.weight),
                         .bias = value(ex, *p_.ln1.bias),
                         .state_in = a.shift_in,
                         .state_out = a.shift_out,
                         .n = kMixes,
                         .mu_of_self = true,
                         .mu = weights(ex),
                         .y = in_sequences(y, a.B),
                         .resets = a.resets});
}

void TimeMix::mix_backward(const Exec& ex, const MixBackward& a, const Mixes& dy) const {
  const Shape shape{a.B, a.T, C_};
  run(ex, NormMixBackward{.x = a.x.view(shape),
                          .weight = value(ex, *p_.ln1.weight),
                          .bias = value(ex, *p_.ln1.bias),
                          .state_in = a.shift_in,
                          .dx = a.dx.view(shape),
                          .dstate_out = a.dshift_out,
                          .dstate_in = a.dshift_in,
                          .n = kMixes,
                          .mu_of_self = true,
                          .mu = weights(ex),
                          .dmu = {grad(ex, *p_.mix_k), grad(ex, *p_.mix_v), grad(ex, *p_.mix_r), grad(ex, *p_.mix_g)},
                          .dy = in_sequences(dy, a.B),
                          .dweight = grad(ex, *p_.ln1.weight),
                          .dbias = grad(ex, *p_.ln1.bias),
                          .resets = a.resets});
}

GatedWkvTensors TimeMix::tensors(const Exec& ex, const Saved& s) const {
  return {.r = s.r, .k = s.k, .v = s.v, .w = value(ex, *p_.decay), .g = s.g, .y = s.y, .states = s.states};
}

void TimeMix::forward(const Exec& ex, const MixForward& a, Saved* saved) const {
  const ArenaScope scope(*ex.scratch);
  const int64_t R = a.B * a.T;
  Arena& arena = saved ? *ex.kept : *ex.scratch;
  Saved s;
  for (Tensor* t : {&s.r, &s.k, &s.v, &s.g, &s.y}) *t = arena.take(dtype_, {R, C_});
  if (saved) s.states = wkv_.take_states(ex, arena, a.B, a.T);
  Mixes x;
  for (size_t m = 0; m < kMixes; ++m) x[m] = ex.scratch->take(dtype_, {R, C_});
  mix(ex, a, x);
  receptance_.forward(ex, {.x = x[kR], .y = s.r});
  key_.forward(ex, {.x = x[kK], .y = s.k});
  value_.forward(ex, {.x = x[kV], .y = s.v});
  gate_.forward(ex, {.x = x[kG], .y = s.g});
  wkv_.forward(ex, a, tensors(ex, s), x[kR]);
  if (saved) *saved = s;
}

// Mixes take the places of what the operator read, and their gradients those of the mixes: each is needed no longer than its projection's
// backward.
void TimeMix::backward(const Exec& ex, const MixBackward& a, const Saved& saved) const {
  const ArenaScope scope(*ex.scratch);
  const GatedWkvGradients d = wkv_.backward(ex, a, tensors(ex, saved), grad(ex, *p_.decay));
  Mixes x;
  std::copy_n(d.places.begin(), kMixes, x.begin());
  mix(ex, formed_again(a), x);
  receptance_.backward(ex, {.x = x[kR], .dy = d.r, .dx = x[kR]});
  key_.backward(ex, {.x = x[kK], .dy = d.k, .dx = x[kK]});
  value_.backward(ex, {.x = x[kV], .dy = d.v, .dx = x[kV]});
  gate_.backward(ex, {.x = x[kG], .dy = d.g, .dx = x[kG]});
  mix_backward(ex, a, x);
}

}  // namespace rk::rwkv5
