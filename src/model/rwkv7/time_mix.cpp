#include "model/rwkv7/time_mix.h"

#include "kernels/elementwise/op.h"
#include "kernels/norm_mix/op.h"
#include "kernels/rwkv7_output/op.h"
#include "kernels/rwkv7_prepare/op.h"
#include "kernels/wkv7/op.h"
#include "nn/bound.h"

namespace rk::rwkv7 {

static constexpr auto out_in = WeightLayout::out_in;

TimeMix::TimeMix(const TimeMixParams& p, const ModelSpec& spec, bool first)
    : p_(p),
      C_(spec.n_embd),
      N_(spec.head_size),
      dtype_(spec.dtype),
      first_(first),
      receptance_(*p.receptance, out_in),
      key_(*p.key, out_in),
      value_(*p.value, out_in),
      output_(*p.output, out_in),
      w_(*p.w1, *p.w2, Activation::tanh),
      a_(*p.a1, *p.a2, {}),
      g_(*p.g1, *p.g2, Activation::sigmoid) {
  if (!first) v_ = LowRank(*p.v1, *p.v2, {});
}

TimeMixSaved TimeMix::take(const Exec& ex, const MixForward& a, bool kept) const {
  Arena& arena = kept ? *ex.kept : *ex.scratch;
  const int64_t R = a.B * a.T;
  const auto hidden = [&](const LowRank& pair) { return arena.take(dtype_, {R, pair.width()}); };
  TimeMixSaved s;
  for (Tensor* t : {&s.r, &s.k0, &s.y}) *t = take_rows(arena, R);
  s.w_hidden = hidden(w_);
  s.a_hidden = hidden(a_);
  s.g_hidden = hidden(g_);
  s.v0 = a.shared;
  if (!first_) {
    s.v0 = take_rows(arena, R);
    s.v_hidden = hidden(v_);
  }
  take_expanded(ex.keep_less ? *ex.scratch : arena, R, s);
  if (kept) s.states = take_wkv7_saved(ex, arena, dtype_, heads(a.B, a.T));
  return s;
}

void TimeMix::take_expanded(Arena& arena, int64_t R, TimeMixSaved& s) const {
  for (Tensor* t : {&s.w, &s.a_lora, &s.g}) *t = take_rows(arena, R);
  if (!first_) s.v_lora = take_rows(arena, R);
}

// What keep_less left out, in scratch.
void TimeMix::expand(const Exec& ex, TimeMixSaved& s) const {
  take_expanded(*ex.scratch, s.r.shape[0], s);
  w_.expand(ex, {.hidden = s.w_hidden, .y = s.w, .bias = value(ex, *p_.w0)});
  a_.expand(ex, {.hidden = s.a_hidden, .y = s.a_lora});
  g_.expand(ex, {.hidden = s.g_hidden, .y = s.g});
  if (!first_) v_.expand(ex, {.hidden = s.v_hidden, .y = s.v_lora});
}

std::array<Tensor, TimeMix::kMixes> TimeMix::mix_weights(const Exec& ex) const {
  return {value(ex, *p_.x_r), value(ex, *p_.x_w), value(ex, *p_.x_k), value(ex, *p_.x_v), value(ex, *p_.x_a), value(ex, *p_.x_g)};
}

TimeMix::Mixes TimeMix::mix(const Exec& ex, const Shape& shape, Tensor x, Tensor resets, Tensor shift_in, Tensor shift_out) const {
  Mixes mixes;
  NormMixForward f{.x = x.view(shape),
                   .weight = value(ex, *p_.ln1.weight),
                   .bias = value(ex, *p_.ln1.bias),
                   .state_in = shift_in,
                   .state_out = shift_out,
                   .n = kMixes,
                   .mu = mix_weights(ex),
                   .resets = resets};
  for (size_t m = 0; m < kMixes; ++m) {
    mixes[m] = take_rows(*ex.scratch, shape[0] * shape[1]);
    f.y[m] = mixes[m].view(shape);
  }
  run(ex, f);
  return mixes;
}

void TimeMix::project(const Exec& ex, const Mixes& x, const TimeMixSaved& s) const {
  receptance_.forward(ex, {.x = x[kR], .y = s.r});
  key_.forward(ex, {.x = x[kK], .y = s.k0});
  value_.forward(ex, {.x = x[kV], .y = s.v0});
  w_.forward(ex, {.x = x[kW], .hidden = s.w_hidden, .y = s.w, .bias = value(ex, *p_.w0)});
  a_.forward(ex, {.x = x[kA], .hidden = s.a_hidden, .y = s.a_lora});
  g_.forward(ex, {.x = x[kG], .hidden = s.g_hidden, .y = s.g});
  if (!first_) v_.forward(ex, {.x = x[kV], .hidden = s.v_hidden, .y = s.v_lora});
}

TimeMix::Operands TimeMix::prepare(const Exec& ex, const TimeMixSaved& s, const Tensor& v_first) const {
  const int64_t R = s.r.shape[0];
  Operands o;
  for (Tensor* t : {&o.k, &o.a, &o.b}) *t = take_rows(*ex.scratch, R);
  o.v = first_ ? s.v0 : take_rows(*ex.scratch, R);
  Rwkv7PrepareForward f{.N = N_,
                        .k0 = s.k0,
                        .a_lora = s.a_lora,
                        .v0_in = s.v0,
                        .a0 = value(ex, *p_.a0),
                        .k_k = value(ex, *p_.k_k),
                        .k_a = value(ex, *p_.k_a),
                        .k = o.k,
                        .a = o.a,
                        .b = o.b};
  if (!first_) {
    f.v_lora = s.v_lora;
    f.v_first = v_first;
    f.v0 = value(ex, *p_.v0);
    f.v = o.v;
  }
  run(ex, f);
  return o;
}

void TimeMix::forward(const Exec& ex, const MixForward& a, Saved* saved) const {
  const ArenaScope scope(*ex.scratch);
  const Shape split = heads(a.B, a.T);
  const TimeMixSaved s = take(ex, a, saved != nullptr);
  {
    const ArenaScope inputs(*ex.scratch);
    project(ex, mix(ex, {a.B, a.T, C_}, a.x, a.resets, a.shift_in, a.shift_out), s);
  }
  const Operands o = prepare(ex, s, a.shared);
  run(ex, Wkv7Forward{.r = s.r.view(split),
                      .w = s.w.view(split),
                      .k = o.k.view(split),
                      .v = o.v.view(split),
                      .a = o.a.view(split),
                      .b = o.b.view(split),
                      .y = s.y.view(split),
                      .state_in = a.wkv_in,
                      .state_out = a.wkv_out,
                      .saved_states = s.states,
                      .resets = a.resets});
  const Tensor out = o.a;  // read no longer
  run(ex, Rwkv7OutputForward{.N = N_,
                             .y = s.y,
                             .r = s.r,
                             .k = o.k,
                             .v = o.v,
                             .g = s.g,
                             .weight = value(ex, *p_.ln_x.weight),
                             .bias = value(ex, *p_.ln_x.bias),
                             .r_k = value(ex, *p_.r_k),
                             .out = out});
  output_.forward(ex, {.x = out, .y = a.out, .residual = a.x});
  if (saved) *saved = s;
}

void TimeMix::backward(const Exec& ex, const MixBackward& a, const Saved& saved) const {
  const ArenaScope scope(*ex.scratch);
  TimeMixSaved s = saved;
  if (ex.keep_less) expand(ex, s);
  Gradients d;
  for (Tensor* t : {&d.r, &d.w, &d.k0, &d.v0, &d.a_lora, &d.g}) *t = take_rows(*ex.scratch, a.B * a.T);
  if (!first_) d.v_lora = take_rows(*ex.scratch, a.B * a.T);
  operator_backward(ex, a, s, d);
  project_backward(ex, a, saved, d);
}

// From the gradient of the residual to those of the operator's operands, which take the places of their inputs' gradients.
void TimeMix::operator_backward(const Exec& ex, const MixBackward& a, const TimeMixSaved& s, const Gradients& d) const {
  const ArenaScope scope(*ex.scratch);
  const int64_t R = a.B * a.T;
  const Shape split = heads(a.B, a.T);
  const Operands o = prepare(ex, s, a.shared);
  const Tensor dy = take_rows(*ex.scratch, R), out = take_rows(*ex.scratch, R);
  output_.backward_input(ex, {.dy = a.dx, .dx = d.g});
  run(ex, Rwkv7OutputBackward{.N = N_,
                              .y = s.y,
                              .r = s.r,
                              .k = o.k,
                              .v = o.v,
                              .g = s.g,
                              .weight = value(ex, *p_.ln_x.weight),
                              .bias = value(ex, *p_.ln_x.bias),
                              .r_k = value(ex, *p_.r_k),
                              .dout = d.g,
                              .out = out,
                              .dy = dy,
                              .dr = d.r,
                              .dk = d.k0,
                              .dv = d.v0,
                              .dg = d.g,
                              .dweight = grad(ex, *p_.ln_x.weight),
                              .dbias = grad(ex, *p_.ln_x.bias),
                              .dr_k = grad(ex, *p_.r_k)});
  output_.backward_weight(ex, {.x = out, .dy = a.dx});
  const Tensor db = out;
  run(ex, Wkv7Backward{.r = s.r.view(split),
                       .w = s.w.view(split),
                       .k = o.k.view(split),
                       .v = o.v.view(split),
                       .a = o.a.view(split),
                       .b = o.b.view(split),
                       .saved_states = s.states,
                       .dy = dy.view(split),
                       .dstate_out = a.dwkv_out,
                       .dr = d.r.view(split),
                       .dw = d.w.view(split),
                       .dk = d.k0.view(split),
                       .dv = d.v0.view(split),
                       .da = d.a_lora.view(split),
                       .db = db.view(split),
                       .dstate_in = a.dwkv_in,
                       .dr_more = d.r.view(split),
                       .dk_more = d.k0.view(split),
                       .dv_more = d.v0.view(split),
                       .resets = a.resets});
  prepare_backward(ex, a, s, d, db);
}

void TimeMix::prepare_backward(const Exec& ex, const MixBackward& a, const TimeMixSaved& s, const Gradients& d, Tensor db) const {
  Rwkv7PrepareBackward b{.N = N_,
                         .k0 = s.k0,
                         .a_lora = s.a_lora,
                         .v0_in = {},
                         .v_lora = {},
                         .v_first = {},
                         .a0 = value(ex, *p_.a0),
                         .v0 = {},
                         .k_k = value(ex, *p_.k_k),
                         .k_a = value(ex, *p_.k_a),
                         .dw = d.w,
                         .dk = d.k0,
                         .da = d.a_lora,
                         .db = db,
                         .dv = {},
                         .dw_lora = d.w,
                         .da_lora = d.a_lora,
                         .dk0 = d.k0,
                         .dv0_in = {},
                         .dv_lora = {},
                         .dv_first = {},
                         .dw0 = grad(ex, *p_.w0),
                         .da0 = grad(ex, *p_.a0),
                         .dv0 = {},
                         .dk_k = grad(ex, *p_.k_k),
                         .dk_a = grad(ex, *p_.k_a)};
  if (first_) {
    run(ex, Add{.x = a.dshared, .y = d.v0});
  } else {
    b.v0_in = s.v0;
    b.v_lora = s.v_lora;
    b.v_first = a.shared;
    b.v0 = value(ex, *p_.v0);
    b.dv = b.dv0_in = d.v0;
    b.dv_lora = d.v_lora;
    b.dv_first = a.dshared;
    b.dv0 = grad(ex, *p_.v0);
  }
  run(ex, b);
}

// Gradients of the mixes take the mixes' places: each is needed no longer than its projection's backward.
void TimeMix::project_backward(const Exec& ex, const MixBackward& a, const TimeMixSaved& s, const Gradients& d) const {
  const ArenaScope scope(*ex.scratch);
  const int64_t R = a.B * a.T;
  const Shape shape{a.B, a.T, C_};
  const Mixes x = mix(ex, shape, a.x, a.resets, a.shift_in, {});
  Mixes dx = x;
  receptance_.backward(ex, {.x = x[kR], .dy = d.r, .dx = dx[kR]});
  key_.backward(ex, {.x = x[kK], .dy = d.k0, .dx = dx[kK]});
  w_.backward(ex, {.x = x[kW], .hidden = s.w_hidden, .dy = d.w, .dx = dx[kW]});
  a_.backward(ex, {.x = x[kA], .hidden = s.a_hidden, .dy = d.a_lora, .dx = dx[kA]});
  g_.backward(ex, {.x = x[kG], .hidden = s.g_hidden, .dy = d.g, .dx = dx[kG]});
  if (!first_) {  // two products read this mix
    dx[kV] = take_rows(*ex.scratch, R);
    v_.backward(ex, {.x = x[kV], .hidden = s.v_hidden, .dy = d.v_lora, .dx = dx[kV]});
  }
  value_.backward(ex, {.x = x[kV], .dy = d.v0, .dx = dx[kV], .add_dx = !first_});
  for (Tensor& t : dx) t = t.view(shape);
  run(ex, NormMixBackward{
              .x = a.x.view(shape),
              .weight = value(ex, *p_.ln1.weight),
              .bias = value(ex, *p_.ln1.bias),
              .state_in = a.shift_in,
              .dx = a.dx.view(shape),
              .dstate_out = a.dshift_out,
              .dstate_in = a.dshift_in,
              .n = kMixes,
              .mu = mix_weights(ex),
              .dmu = {grad(ex, *p_.x_r), grad(ex, *p_.x_w), grad(ex, *p_.x_k), grad(ex, *p_.x_v), grad(ex, *p_.x_a), grad(ex, *p_.x_g)},
              .dy = dx,
              .dweight = grad(ex, *p_.ln1.weight),
              .dbias = grad(ex, *p_.ln1.bias),
              .resets = a.resets});
}

}  // namespace rk::rwkv7
