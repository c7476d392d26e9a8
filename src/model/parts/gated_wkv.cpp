#include "model/parts/gated_wkv.h"

#include "kernels/wkv6/op.h"

namespace rk {

// The reference of RWKV-5 divides what it norms by the divisor, which is an epsilon that is larger by its square.
GatedWkv::GatedWkv(const GatedWkvParams& p, const ModelSpec& spec, WkvGate gate)
    : p_(p),
      gate_(gate),
      C_(spec.n_embd),
      N_(spec.head_size),
      eps_(1e-5 * static_cast<double>(spec.head_size_divisor * spec.head_size_divisor)),
      dtype_(spec.dtype),
      output_(*p.output, WeightLayout::out_in),
      norm_(*p.ln_x.weight, *p.ln_x.bias) {}

static Gate function_of(WkvGate gate) { return gate == WkvGate::silu ? Gate::silu : Gate::identity; }

Tensor GatedWkv::take_states(const Exec& ex, Arena& arena, int64_t B, int64_t T) const {
  return take_wkv6_saved(ex, arena, dtype_, heads(B, T));
}

void GatedWkv::norm(const Exec& ex, const GatedWkvTensors& s, Tensor out) const {
  const ArenaScope scope(*ex.scratch);
  if (gate_ == WkvGate::none) return norm_.forward(ex, {.x = s.y, .y = out, .stats = take_norm_stats(*ex.scratch, dtype_, s.y.shape[0])});
  run(ex, GroupNormGateForward{.N = N_,
                               .eps = eps_,
                               .f = function_of(gate_),
                               .y = s.y,
                               .g = s.g,
                               .weight = value(ex, *p_.ln_x.weight),
                               .bias = value(ex, *p_.ln_x.bias),
                               .out = out});
}

void GatedWkv::forward(const Exec& ex, const MixForward& a, const GatedWkvTensors& s, Tensor room) const {
  const Shape split = heads(a.B, a.T);
  run(ex, Wkv6Forward{.r = s.r.view(split),
                      .k = s.k.view(split),
                      .v = s.v.view(split),
                      .w = s.w,
                      .u = value(ex, *p_.bonus),
                      .y = s.y.view(split),
                      .state_in = a.wkv_in,
                      .state_out = a.wkv_out,
                      .saved_states = s.states,
                      .resets = a.resets});
  norm(ex, s, room);
  output_.forward(ex, {.x = room, .y = a.out, .residual = a.x});
}

// From the gradient of the residual to that of the operator's output and of the gate; what is returned has places for dr, dk, dv.
GatedWkvGradients GatedWkv::norm_backward(const Exec& ex, const MixBackward& a, const GatedWkvTensors& s, Tensor& dy) const {
  const Tensor dout = ex.scratch->take(dtype_, s.y.shape), out = ex.scratch->take(dtype_, s.y.shape);
  GatedWkvGradients d;
  d.r = out;
  d.k = s.y;
  dy = ex.scratch->take(dtype_, s.y.shape);
  output_.backward_input(ex, {.dy = a.dx, .dx = dout});
  if (gate_ == WkvGate::none) {
    const ArenaScope scope(*ex.scratch);
    const NormStats stats = take_norm_stats(*ex.scratch, dtype_, s.y.shape[0]);
    norm_.forward(ex, {.x = s.y, .y = out, .stats = stats});
    norm_.backward(ex, {.x = s.y, .stats = stats, .dy = dout, .dx = dy});
    d.v = dout;
  } else {
    run(ex, GroupNormGateBackward{.N = N_,
                                  .eps = eps_,
                                  .f = function_of(gate_),
                                  .y = s.y,
                                  .g = s.g,
                                  .weight = value(ex, *p_.ln_x.weight),
                                  .bias = value(ex, *p_.ln_x.bias),
                                  .dout = dout,
                                  .out = out,
                                  .dy = dy,
                                  .dg = dout,
                                  .dweight = grad(ex, *p_.ln_x.weight),
                                  .dbias = grad(ex, *p_.ln_x.bias)});
    d.v = s.g;
    d.g = dout;
  }
  output_.backward_weight(ex, {.x = out, .dy = a.dx});
  return d;
}

GatedWkvGradients GatedWkv::backward(const Exec& ex, const MixBackward& a, const GatedWkvTensors& s, Tensor dw) const {
  const Shape split = heads(a.B, a.T);
  const bool own_decays = s.w.shape.rank == 4;
  Tensor dy;
  GatedWkvGradients d = norm_backward(ex, a, s, dy);
  if (own_decays) d.w = ex.scratch->take(dtype_, s.y.shape);
  run(ex, Wkv6Backward{.r = s.r.view(split),
                       .k = s.k.view(split),
                       .v = s.v.view(split),
                       .w = s.w,
                       .u = value(ex, *p_.bonus),
                       .saved_states = s.states,
                       .dy = dy.view(split),
                       .dstate_out = a.dwkv_out,
                       .dr = d.r.view(split),
                       .dk = d.k.view(split),
                       .dv = d.v.view(split),
                       .dw = own_decays ? d.w.view(split) : dw,
                       .du = grad(ex, *p_.bonus),
                       .dstate_in = a.dwkv_in,
                       .resets = a.resets});
  d.places = {s.r, s.k, s.v, dy, own_decays ? s.w.view(s.y.shape) : Tensor{}};
  return d;
}

}  // namespace rk
