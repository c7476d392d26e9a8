#include "model/rwkv4/time_mix.h"

#include "kernels/norm_mix/op.h"
#include "kernels/sigmoid_gate/op.h"
#include "kernels/wkv4/op.h"
#include "nn/bound.h"

namespace rk::rwkv4 {

TimeMix::TimeMix(const TimeMixParams& p, const ModelSpec& spec)
    : p_(p),
      C_(spec.n_embd),
      A_(spec.dim_att),
      dtype_(spec.dtype),
      key_(*p.key, WeightLayout::out_in),
      value_(*p.value, WeightLayout::out_in),
      receptance_(*p.receptance, WeightLayout::out_in),
      output_(*p.output, WeightLayout::out_in) {}

TimeMixSaved TimeMix::take(const Exec& ex, const MixForward& a, bool keep) const {
  Arena& arena = keep ? *ex.kept : *ex.scratch;
  TimeMixSaved s;
  for (Tensor* t : {&s.k, &s.v, &s.r, &s.y}) *t = take_rows(arena, a.B * a.T);
  if (keep) s.states = take_wkv4_saved(ex, arena, dtype_, {a.B, a.T, A_});
  return s;
}

TimeMix::Mixes TimeMix::mix_weights(const Exec& ex) const { return {value(ex, *p_.mix_k), value(ex, *p_.mix_v), value(ex, *p_.mix_r)}; }

TimeMix::Mixes TimeMix::mix(const Exec& ex, const Shape& shape, Tensor x, Tensor resets, Tensor shift_in, Tensor shift_out) const {
  NormMixForward f{.x = x.view(shape),
                   .weight = value(ex, *p_.ln1.weight),
                   .bias = value(ex, *p_.ln1.bias),
                   .state_in = shift_in,
                   .state_out = shift_out,
                   .n = kMixes,
                   .mu_of_self = true,
                   .mu = mix_weights(ex),
                   .resets = resets};
  Mixes mixes;
  for (size_t m = 0; m < kMixes; ++m) {
    f.y[m] = ex.scratch->take(dtype_, shape);
    mixes[m] = f.y[m].view({shape[0] * shape[1], C_});
  }
  run(ex, f);
  return mixes;
}

void TimeMix::forward(const Exec& ex, const MixForward& a, TimeMixSaved* saved) const {
  const ArenaScope scope(*ex.scratch);
  const Shape split{a.B, a.T, A_};
  const TimeMixSaved s = take(ex, a, saved != nullptr);
  {
    const ArenaScope inputs(*ex.scratch);
    const Mixes x = mix(ex, {a.B, a.T, C_}, a.x, a.resets, a.shift_in, a.shift_out);
    key_.forward(ex, {.x = x[kK], .y = s.k});
    value_.forward(ex, {.x = x[kV], .y = s.v});
    receptance_.forward(ex, {.x = x[kR], .y = s.r});
  }
  run(ex, Wkv4Forward{.k = s.k.view(split),
                      .v = s.v.view(split),
                      .w = value(ex, *p_.decay),
                      .u = value(ex, *p_.first),
                      .y = s.y.view(split),
                      .state_in = a.wkv_in,
                      .state_out = a.wkv_out,
                      .saved_states = s.states,
                      .resets = a.resets});
  const Tensor gated = saved ? take_rows(*ex.scratch, a.B * a.T) : s.y;
  run(ex, SigmoidGateForward{.r = s.r, .v = s.y, .y = gated});
  output_.forward(ex, {.x = gated, .y = a.out, .residual = a.x});
  if (saved) *saved = s;
}

void TimeMix::backward(const Exec& ex, const MixBackward& a, const TimeMixSaved& saved) const {
  const ArenaScope scope(*ex.scratch);
  Gradients d;
  for (Tensor* t : {&d.k, &d.v, &d.r}) *t = take_rows(*ex.scratch, a.B * a.T);
  operator_backward(ex, a, saved, d);
  project_backward(ex, a, d);
}

// From the gradient of the residual to those of the three projections.
void TimeMix::operator_backward(const Exec& ex, const MixBackward& a, const TimeMixSaved& s, const Gradients& d) const {
  const ArenaScope scope(*ex.scratch);
  const Shape split{a.B, a.T, A_};
  const Tensor dy = take_rows(*ex.scratch, a.B * a.T), gated = d.k;  // whose place is free until the operator's backward
  output_.backward_input(ex, {.dy = a.dx, .dx = dy});
  run(ex, SigmoidGateBackward{.r = s.r, .v = s.y, .dy = dy, .dr = d.r, .dv = dy, .gated = gated});
  output_.backward_weight(ex, {.x = gated, .dy = a.dx});
  run(ex, Wkv4Backward{.k = s.k.view(split),
                       .v = s.v.view(split),
                       .w = value(ex, *p_.decay),
                       .u = value(ex, *p_.first),
                       .saved_states = s.states,
                       .dy = dy.view(split),
                       .dstate_out = a.dwkv_out,
                       .dk = d.k.view(split),
                       .dv = d.v.view(split),
                       .dw = grad(ex, *p_.decay),
                       .du = grad(ex, *p_.first),
                       .dstate_in = a.dwkv_in,
                       .resets = a.resets});
}

// Gradients of the mixes take the mixes' places.
void TimeMix::project_backward(const Exec& ex, const MixBackward& a, const Gradients& d) const {
  const ArenaScope scope(*ex.scratch);
  const Shape shape{a.B, a.T, C_};
  Mixes x = mix(ex, shape, a.x, a.resets, a.shift_in, {});
  key_.backward(ex, {.x = x[kK], .dy = d.k, .dx = x[kK]});
  value_.backward(ex, {.x = x[kV], .dy = d.v, .dx = x[kV]});
  receptance_.backward(ex, {.x = x[kR], .dy = d.r, .dx = x[kR]});
  for (size_t m = 0; m < kMixes; ++m) x[m] = x[m].view(shape);
  run(ex, NormMixBackward{.x = a.x.view(shape),
                          .weight = value(ex, *p_.ln1.weight),
                          .bias = value(ex, *p_.ln1.bias),
                          .state_in = a.shift_in,
                          .dx = a.dx.view(shape),
                          .dstate_out = a.dshift_out,
                          .dstate_in = a.dshift_in,
                          .n = kMixes,
                          .mu_of_self = true,
                          .mu = mix_weights(ex),
                          .dmu = {grad(ex, *p_.mix_k), grad(ex, *p_.mix_v), grad(ex, *p_.mix_r)},
                          .dy = x,
                          .dweight = grad(ex, *p_.ln1.weight),
                          .dbias = grad(ex, *p_.ln1.bias),
                          .resets = a.resets});
}

}  // namespace rk::rwkv4
