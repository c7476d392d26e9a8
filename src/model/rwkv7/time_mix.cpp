#include "model/rwkv7/time_mix.h"

#include "kernels/elementwise/op.h"
#include "kernels/rwkv7_output/op.h"
#include "kernels/rwkv7_prepare/op.h"
#include "kernels/token_shift/op.h"
#include "kernels/wkv7/op.h"

namespace rk::rwkv7 {

static constexpr auto out_in = WeightLayout::out_in;

TimeMix::TimeMix(const TimeMixParams& p, const ModelSpec& spec, bool first)
    : p_(p),
      C_(spec.n_embd),
      N_(spec.head_size),
      dtype_(spec.dtype),
      first_(first),
      ln1_(*p.ln1.weight, *p.ln1.bias),
      receptance_(*p.receptance, out_in),
      key_(*p.key, out_in),
      value_(*p.value, out_in),
      output_(*p.output, out_in),
      w_(*p.w1, *p.w2, Activation::tanh),
      a_(*p.a1, *p.a2, {}),
      g_(*p.g1, *p.g2, Activation::sigmoid) {
  if (!first) v_ = LowRank(*p.v1, *p.v2, {});
}

TimeMixSaved TimeMix::take(const Exec& ex, const TimeMixForward& a) const {
  Arena& arena = a.saved ? *ex.kept : *ex.scratch;
  const int64_t R = a.B * a.T;
  const auto hidden = [&](const LowRank& pair) { return arena.take(dtype_, {R, pair.width()}); };
  TimeMixSaved s;
  for (Tensor* t : {&s.r, &s.k0, &s.w_lora, &s.a_lora, &s.g, &s.y}) *t = take_rows(arena, R);
  s.w_hidden = hidden(w_);
  s.a_hidden = hidden(a_);
  s.g_hidden = hidden(g_);
  s.v0 = a.v_first;
  if (!first_) {
    s.v0 = take_rows(arena, R);
    s.v_lora = take_rows(arena, R);
    s.v_hidden = hidden(v_);
  }
  if (a.saved) s.states = take_wkv7_saved(ex, arena, dtype_, heads(a.B, a.T));
  return s;
}

std::array<Tensor, TimeMix::kMixes> TimeMix::mix_weights(const Exec& ex) const {
  return {value(ex, *p_.x_r), value(ex, *p_.x_w), value(ex, *p_.x_k), value(ex, *p_.x_v), value(ex, *p_.x_a), value(ex, *p_.x_g)};
}

TimeMix::Inputs TimeMix::mix(const Exec& ex, const Shape& shape, Tensor x, Tensor shift_in, Tensor shift_out) const {
  const int64_t R = shape[0] * shape[1];
  Inputs in;
  in.normed = take_rows(*ex.scratch, R);
  in.stats = take_norm_stats(*ex.scratch, dtype_, R);
  ln1_.forward(ex, {.x = x, .y = in.normed, .stats = in.stats});
  TokenShiftForward shift{
      .x = in.normed.view(shape), .state_in = shift_in, .state_out = shift_out, .n = kMixes, .mu = mix_weights(ex), .y = {}};
  for (size_t m = 0; m < kMixes; ++m) {
    in.x[m] = take_rows(*ex.scratch, R);
    shift.y[m] = in.x[m].view(shape);
  }
  run(ex, shift);
  return in;
}

void TimeMix::project(const Exec& ex, const Inputs& in, const TimeMixSaved& s) const {
  receptance_.forward(ex, {.x = in.x[kR], .y = s.r});
  key_.forward(ex, {.x = in.x[kK], .y = s.k0});
  value_.forward(ex, {.x = in.x[kV], .y = s.v0});
  w_.forward(ex, {.x = in.x[kW], .hidden = s.w_hidden, .y = s.w_lora});
  a_.forward(ex, {.x = in.x[kA], .hidden = s.a_hidden, .y = s.a_lora});
  g_.forward(ex, {.x = in.x[kG], .hidden = s.g_hidden, .y = s.g});
  if (!first_) v_.forward(ex, {.x = in.x[kV], .hidden = s.v_hidden, .y = s.v_lora});
}

TimeMix::Operands TimeMix::prepare(const Exec& ex, const TimeMixSaved& s, const Tensor& v_first) const {
  const int64_t R = s.r.shape[0];
  Operands o;
  for (Tensor* t : {&o.w, &o.k, &o.a, &o.b}) *t = take_rows(*ex.scratch, R);
  o.v = first_ ? s.v0 : take_rows(*ex.scratch, R);
  Rwkv7PrepareForward f{.N = N_,
                        .k0 = s.k0,
                        .w_lora = s.w_lora,
                        .a_lora = s.a_lora,
                        .v0_in = s.v0,
                        .v_lora = {},
                        .v_first = {},
                        .w0 = value(ex, *p_.w0),
                        .a0 = value(ex, *p_.a0),
                        .v0 = {},
                        .k_k = value(ex, *p_.k_k),
                        .k_a = value(ex, *p_.k_a),
                        .w = o.w,
                        .k = o.k,
                        .a = o.a,
                        .b = o.b,
                        .v = {}};
  if (!first_) {
    f.v_lora = s.v_lora;
    f.v_first = v_first;
    f.v0 = value(ex, *p_.v0);
    f.v = o.v;
  }
  run(ex, f);
  return o;
}

void TimeMix::gate(const Exec& ex, const TimeMixSaved& s, const Operands& o, Tensor out) const {
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
}

void TimeMix::forward(const Exec& ex, const TimeMixForward& a) const {
  const ArenaScope scope(*ex.scratch);
  const Shape split = heads(a.B, a.T);
  const TimeMixSaved s = take(ex, a);
  {
    const ArenaScope inputs(*ex.scratch);
    project(ex, mix(ex, {a.B, a.T, C_}, a.residual, a.shift_in, a.shift_out), s);
  }
  const Operands o = prepare(ex, s, a.v_first);
  run(ex, Wkv7Forward{.r = s.r.view(split),
                      .w = o.w.view(split),
                      .k = o.k.view(split),
                      .v = o.v.view(split),
                      .a = o.a.view(split),
                      .b = o.b.view(split),
                      .y = s.y.view(split),
                      .state_in = a.wkv_in,
                      .state_out = a.wkv_out,
                      .saved_states = s.states});
  const Tensor out = take_rows(*ex.scratch, a.B * a.T);
  gate(ex, s, o, out);
  output_.forward(ex, {.x = out, .y = a.residual, .add = true});
  if (a.saved) *a.saved = s;
}

void TimeMix::backward(const Exec& ex, const TimeMixBackward& a) const {
  const ArenaScope scope(*ex.scratch);
  Gradients d;
  for (Tensor* t : {&d.r, &d.k0, &d.v0, &d.w_lora, &d.a_lora, &d.g}) *t = take_rows(*ex.scratch, a.B * a.T);
  if (!first_) d.v_lora = take_rows(*ex.scratch, a.B * a.T);
  operator_backward(ex, a, d);
  project_backward(ex, a, d);
}

// From the gradient of the residual to those of the operator's operands, which take the places of their inputs' gradients.
void TimeMix::operator_backward(const Exec& ex, const TimeMixBackward& a, const Gradients& d) const {
  const ArenaScope scope(*ex.scratch);
  const TimeMixSaved& s = a.saved;
  const int64_t R = a.B * a.T;
  const Shape split = heads(a.B, a.T);
  const Operands o = prepare(ex, s, a.v_first);
  const Tensor out = take_rows(*ex.scratch, R), dy = out, db = take_rows(*ex.scratch, R);
  const Tensor bonus_dr = take_rows(*ex.scratch, R), bonus_dk = take_rows(*ex.scratch, R), bonus_dv = take_rows(*ex.scratch, R);
  gate(ex, s, o, out);
  output_.backward(ex, {.x = out, .dy = a.dx, .dx = d.g});
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
                              .dy = dy,
                              .dr = bonus_dr,
                              .dk = bonus_dk,
                              .dv = bonus_dv,
                              .dg = d.g,
                              .dweight = grad(ex, *p_.ln_x.weight),
                              .dbias = grad(ex, *p_.ln_x.bias),
                              .dr_k = grad(ex, *p_.r_k)});
  run(ex, Wkv7Backward{.r = s.r.view(split),
                       .w = o.w.view(split),
                       .k = o.k.view(split),
                       .v = o.v.view(split),
                       .a = o.a.view(split),
                       .b = o.b.view(split),
                       .saved_states = s.states,
                       .dy = dy.view(split),
                       .dstate_out = a.dwkv_out,
                       .dr = d.r.view(split),
                       .dw = d.w_lora.view(split),
                       .dk = d.k0.view(split),
                       .dv = d.v0.view(split),
                       .da = d.a_lora.view(split),
                       .db = db.view(split),
                       .dstate_in = a.dwkv_in});
  run(ex, Add{.x = bonus_dr, .y = d.r});
  run(ex, Add{.x = bonus_dk, .y = d.k0});
  run(ex, Add{.x = bonus_dv, .y = d.v0});
  prepare_backward(ex, a, d, db);
}

void TimeMix::prepare_backward(const Exec& ex, const TimeMixBackward& a, const Gradients& d, Tensor db) const {
  const TimeMixSaved& s = a.saved;
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
                         .dw = d.w_lora,
                         .dk = d.k0,
                         .da = d.a_lora,
                         .db = db,
                         .dv = {},
                         .dw_lora = d.w_lora,
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
    run(ex, Add{.x = a.dv_first, .y = d.v0});
  } else {
    b.v0_in = s.v0;
    b.v_lora = s.v_lora;
    b.v_first = a.v_first;
    b.v0 = value(ex, *p_.v0);
    b.dv = b.dv0_in = d.v0;
    b.dv_lora = d.v_lora;
    b.dv_first = a.dv_first;
    b.dv0 = grad(ex, *p_.v0);
  }
  run(ex, b);
}

// Gradients of the mixes take the mixes' places: each is needed no longer than its projection's backward.
void TimeMix::project_backward(const Exec& ex, const TimeMixBackward& a, const Gradients& d) const {
  const ArenaScope scope(*ex.scratch);
  const TimeMixSaved& s = a.saved;
  const int64_t R = a.B * a.T;
  const Shape shape{a.B, a.T, C_};
  const Inputs in = mix(ex, shape, a.x, a.shift_in, {});
  const Tensor dnormed = take_rows(*ex.scratch, R);
  std::array<Tensor, kMixes> dx = in.x;
  receptance_.backward(ex, {.x = in.x[kR], .dy = d.r, .dx = dx[kR]});
  key_.backward(ex, {.x = in.x[kK], .dy = d.k0, .dx = dx[kK]});
  w_.backward(ex, {.x = in.x[kW], .hidden = s.w_hidden, .dy = d.w_lora, .dx = dx[kW]});
  a_.backward(ex, {.x = in.x[kA], .hidden = s.a_hidden, .dy = d.a_lora, .dx = dx[kA]});
  g_.backward(ex, {.x = in.x[kG], .hidden = s.g_hidden, .dy = d.g, .dx = dx[kG]});
  if (!first_) {  // two products read this mix
    dx[kV] = take_rows(*ex.scratch, R);
    v_.backward(ex, {.x = in.x[kV], .hidden = s.v_hidden, .dy = d.v_lora, .dx = dx[kV]});
  }
  value_.backward(ex, {.x = in.x[kV], .dy = d.v0, .dx = dx[kV], .add_dx = !first_});
  for (Tensor& t : dx) t = t.view(shape);
  run(ex, TokenShiftBackward{
              .x = in.normed.view(shape),
              .state_in = a.shift_in,
              .dx = dnormed.view(shape),
              .dstate_out = a.dshift_out,
              .dstate_in = a.dshift_in,
              .n = kMixes,
              .mu = mix_weights(ex),
              .dmu = {grad(ex, *p_.x_r), grad(ex, *p_.x_w), grad(ex, *p_.x_k), grad(ex, *p_.x_v), grad(ex, *p_.x_a), grad(ex, *p_.x_g)},
              .dy = dx});
  ln1_.backward(ex, {.x = a.x, .stats = in.stats, .dy = dnormed, .dx = a.dx, .add_dx = true});
}

}  // namespace rk::rwkv7
