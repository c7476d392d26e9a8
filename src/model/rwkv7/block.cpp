#include "model/rwkv7/block.h"

namespace rk::rwkv7 {
namespace {

struct BlockSaved {
  TimeMixSaved att;
  Tensor mid;     // the residual between the two mixes
  Tensor hidden;  // of the channel mix
};

enum State : size_t { kAttShift, kWkv, kFfnShift };

Tensor part(std::span<const Tensor> states, State which) { return states.empty() ? Tensor{} : states[which]; }

}  // namespace

Block::Block(const BlockParams& p, const ModelSpec& spec, int64_t layer)
    : Unit(cat("blocks.", layer)),
      att_(p.att, spec, layer == 0),
      ffn_(p.ffn, spec),
      C_(spec.n_embd),
      N_(spec.head_size),
      dtype_(spec.dtype) {}

std::vector<StateSpec> Block::state_specs(int64_t B) const {
  return {{"att_shift", {B, C_}, dtype_}, {"wkv", {B, C_ / N_, N_, N_}, acc_dtype(dtype_)}, {"ffn_shift", {B, C_}, dtype_}};
}

void Block::forward(const Exec& ex, const UnitForward& a) const {
  const ArenaScope scope(*ex.scratch);
  const int64_t B = a.seg.B, T = a.seg.T, R = B * T;
  const Tensor x = a.in.x.view({R, C_}), out = a.out.x.view({R, C_});
  BlockSaved* saved = a.saved ? &a.saved->emplace<BlockSaved>() : nullptr;
  const Tensor mid = saved ? ex.kept->take(dtype_, {R, C_}) : out;
  att_.forward(ex, {.B = B,
                    .T = T,
                    .x = x,
                    .out = mid,
                    .v_first = a.out.shared.view({R, C_}),
                    .shift_in = part(a.state_in, kAttShift),
                    .wkv_in = part(a.state_in, kWkv),
                    .shift_out = part(a.state_out, kAttShift),
                    .wkv_out = part(a.state_out, kWkv),
                    .resets = a.seg.resets,
                    .saved = saved ? &saved->att : nullptr});
  const Tensor hidden = ffn_.take_hidden(saved ? *ex.kept : *ex.scratch, R);
  ffn_.forward(ex, {.B = B,
                    .T = T,
                    .x = mid,
                    .out = out,
                    .shift_in = part(a.state_in, kFfnShift),
                    .shift_out = part(a.state_out, kFfnShift),
                    .resets = a.seg.resets,
                    .hidden = hidden});
  if (!saved) return;
  saved->mid = mid;
  saved->hidden = hidden;
}

void Block::backward(const Exec& ex, const UnitBackward& a) const {
  const int64_t B = a.seg.B, T = a.seg.T, R = B * T;
  const BlockSaved& saved = a.saved.as<BlockSaved>();
  const Tensor dx = a.grad.dx.view({R, C_});
  ffn_.backward(ex, {.B = B,
                     .T = T,
                     .x = saved.mid,
                     .hidden = saved.hidden,
                     .dx = dx,
                     .shift_in = part(a.state_in, kFfnShift),
                     .dshift_out = part(a.dstate_out, kFfnShift),
                     .dshift_in = part(a.dstate_in, kFfnShift),
                     .resets = a.seg.resets});
  att_.backward(ex, {.B = B,
                     .T = T,
                     .x = a.in.x.view({R, C_}),
                     .v_first = a.in.shared.view({R, C_}),
                     .dx = dx,
                     .dv_first = a.grad.dshared.view({R, C_}),
                     .shift_in = part(a.state_in, kAttShift),
                     .dshift_out = part(a.dstate_out, kAttShift),
                     .dwkv_out = part(a.dstate_out, kWkv),
                     .dshift_in = part(a.dstate_in, kAttShift),
                     .dwkv_in = part(a.dstate_in, kWkv),
                     .resets = a.seg.resets,
                     .saved = saved.att});
}

}  // namespace rk::rwkv7
