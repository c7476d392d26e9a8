#include "model/rwkv6/time_mix.h"

#include "kernels/rows/op.h"

namespace rk::rwkv6 {

static constexpr auto out_in = WeightLayout::out_in;

static WkvGate gate_of(Variant v) {
  switch (v) {
    case Variant::plain: return WkvGate::silu;
    case Variant::a: return WkvGate::identity;
    case Variant::b: return WkvGate::none;
  }
  broken_promise("a variant is one of three", Where::here());
}

TimeMix::TimeMix(const TimeMixParams& p, const ModelSpec& spec)
    : p_(p),
      variant_(variant_of(spec.arch)),
      C_(spec.n_embd),
      dtype_(spec.dtype),
      mix_(p.mix, spec),
      receptance_(*p.receptance, out_in),
      key_(*p.key, out_in),
      value_(*p.value, out_in),
      decay_(*p.decay_w1, *p.decay_w2, Activation::tanh),
      wkv_(p.wkv, spec, gate_of(variant_)) {
  if (variant_ == Variant::plain) gate_ = Linear(*p.gate, out_in);
  if (variant_ == Variant::a) low_gate_ = LowRank(*p.gate_w1, *p.gate_w2, Activation::tanh);
}

TimeMixSaved TimeMix::take(const Exec& ex, const MixForward& a, bool kept) const {
  Arena& arena = kept ? *ex.kept : *ex.scratch;
  const int64_t R = a.B * a.T;
  Saved s;
  for (Tensor* t : {&s.r, &s.k, &s.v, &s.y}) *t = take_rows(arena, R);
  s.mix_hidden = mix_.take_hidden(arena, R);
  s.decay_hidden = arena.take(dtype_, {R, decay_.width()});
  if (variant_ == Variant::plain) s.g = take_rows(arena, R);
  if (variant_ == Variant::a) s.gate_hidden = arena.take(dtype_, {R, low_gate_.width()});
  take_expanded(ex.keep_less ? *ex.scratch : arena, R, s);
  if (kept) s.states = wkv_.take_states(ex, arena, a.B, a.T);
  return s;
}

void TimeMix::take_expanded(Arena& arena, int64_t R, Saved& s) const {
  s.w = take_rows(arena, R);
  if (variant_ == Variant::a) s.g = take_rows(arena, R);
}

// What keep_less left out, in scratch.
void TimeMix::expand(const Exec& ex, Saved& s) const {
  take_expanded(*ex.scratch, s.r.shape[0], s);
  decay_.expand(ex, {.x = {}, .hidden = s.decay_hidden, .y = s.w, .bias = value(ex, *p_.decay)});
  if (variant_ == Variant::a) low_gate_.expand(ex, {.x = {}, .hidden = s.gate_hidden, .y = s.g, .bias = {}});
}

GatedWkvTensors TimeMix::tensors(const Saved& s, int64_t B, int64_t T) const {
  return {.r = s.r, .k = s.k, .v = s.v, .w = s.w.view(wkv_.heads(B, T)), .g = s.g, .y = s.y, .states = s.states};
}

void TimeMix::project(const Exec& ex, const Mixes& x, const Saved& s) const {
  receptance_.forward(ex, {.x = x[kR], .y = s.r});
  key_.forward(ex, {.x = x[kK], .y = s.k});
  value_.forward(ex, {.x = x[kV], .y = s.v});
  decay_.forward(ex, {.x = x[kW], .hidden = s.decay_hidden, .y = s.w, .bias = value(ex, *p_.decay)});
  if (variant_ == Variant::plain) gate_.forward(ex, {.x = x[kG], .y = s.g});
  if (variant_ == Variant::a) low_gate_.forward(ex, {.x = x[kG], .hidden = s.gate_hidden, .y = s.g, .bias = {}});
}

void TimeMix::forward(const Exec& ex, const MixForward& a, Saved* saved) const {
  const ArenaScope scope(*ex.scratch);
  const Saved s = take(ex, a, saved != nullptr);
  Mixes x;
  for (Mix m : mixes_of(variant_)) x[m] = take_rows(*ex.scratch, a.B * a.T);
  mix_.hide(ex, a, s.mix_hidden, x[kR]);
  mix_.mix(ex, a, s.mix_hidden, x);
  project(ex, x, s);
  wkv_.forward(ex, a, tensors(s, a.B, a.T), x[kR]);
  if (saved) *saved = s;
}

// Gradients of the mixes take the mixes' places: each is needed no longer than its projection's backward.
void TimeMix::project_backward(const Exec& ex, const Mixes& x, const Saved& s, const GatedWkvGradients& d) const {
  receptance_.backward(ex, {.x = x[kR], .dy = d.r, .dx = x[kR]});
  key_.backward(ex, {.x = x[kK], .dy = d.k, .dx = x[kK]});
  value_.backward(ex, {.x = x[kV], .dy = d.v, .dx = x[kV]});
  if (p_.decay->trainable) run(ex, SumRows{.x = d.w, .y = grad(ex, *p_.decay).view({C_})});
  decay_.backward(ex, {.x = x[kW], .hidden = s.decay_hidden, .dy = d.w, .dx = x[kW]});
  if (variant_ == Variant::plain) gate_.backward(ex, {.x = x[kG], .dy = d.g, .dx = x[kG]});
  if (variant_ == Variant::a) low_gate_.backward(ex, {.x = x[kG], .hidden = s.gate_hidden, .dy = d.g, .dx = x[kG]});
}

void TimeMix::backward(const Exec& ex, const MixBackward& a, const Saved& saved) const {
  const ArenaScope scope(*ex.scratch);
  Saved s = saved;
  if (ex.keep_less) expand(ex, s);
  const GatedWkvGradients d = wkv_.backward(ex, a, tensors(s, a.B, a.T), {});
  Mixes x;
  size_t place = 0;
  for (Mix m : mixes_of(variant_)) x[m] = d.places[place++];
  mix_.mix(ex, formed_again(a), s.mix_hidden, x);
  project_backward(ex, x, s, d);
  mix_.backward(ex, a, s.mix_hidden, x, {d.w, d.k, d.v, d.r, d.g});
}

}  // namespace rk::rwkv6
