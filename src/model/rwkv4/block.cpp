#include "model/rwkv4/block.h"

#include "nn/drop.h"

namespace rk::rwkv4 {
namespace {

struct BlockSaved {
  TimeMixSaved att;
  GatedChannelMixSaved ffn_pre, ffn;
  Tensor mid, end;  // the residual between the two mixes, and in front of a small attention
};

// Of a block that begins with a channel mix wkv is null: it has the two shifts only.
struct States {
  Tensor att_shift, wkv, ffn_shift;
};
States states_of(std::span<const Tensor> all) {
  if (all.empty()) return {};
  return all.size() == 3 ? States{all[0], all[1], all[2]} : States{all[0], {}, all[1]};
}

enum Place : uint64_t { kMid, kEnd };  // where the residual stream is dropped

}  // namespace

Block::Block(const BlockParams& p, const ModelSpec& spec, int64_t layer)
    : Unit(cat("blocks.", layer)), ffn_(p.ffn, spec, true), C_(spec.n_embd), A_(spec.dim_att), dtype_(spec.dtype) {
  if (layer == 0 && spec.old.pre_ffn) {
    ffn_pre_.emplace(p.ffn_pre, spec, true);
  } else {
    att_.emplace(p.att, spec);
  }
  if (has_tiny_attention(spec, layer)) tiny_.emplace(p.tiny, spec);
}

std::vector<StateSpec> Block::state_specs(int64_t B) const {
  const StateSpec att_shift{"att_shift", {B, C_}, dtype_}, ffn_shift{"ffn_shift", {B, C_}, dtype_};
  if (ffn_pre_) return {att_shift, ffn_shift};
  return {att_shift, {"wkv", {B, A_, 3}, acc_dtype(dtype_)}, ffn_shift};
}

void Block::forward(const Exec& ex, const UnitForward& a) const {
  const ArenaScope scope(*ex.scratch);
  const int64_t B = a.seg.B, T = a.seg.T, R = B * T;
  const States in = states_of(a.state_in), next = states_of(a.state_out);
  const Tensor out = a.out.x.view({R, C_});
  BlockSaved* saved = a.saved ? &a.saved->emplace<BlockSaved>() : nullptr;
  const Tensor mid = saved ? ex.kept->take(dtype_, {R, C_}) : out, end = saved && tiny_ ? ex.kept->take(dtype_, {R, C_}) : out;
  const MixForward first{.B = B,
                         .T = T,
                         .x = a.in.x.view({R, C_}),
                         .out = mid,
                         .shift_in = in.att_shift,
                         .shift_out = next.att_shift,
                         .wkv_in = in.wkv,
                         .wkv_out = next.wkv,
                         .resets = a.seg.resets};
  if (ffn_pre_) {
    ffn_pre_->forward(ex, first, saved ? &saved->ffn_pre : nullptr);
  } else {
    att_->forward(ex, first, saved ? &saved->att : nullptr);
  }
  drop(ex, a.seg, drop_stream(name, kMid), mid);
  ffn_.forward(ex, {.B = B, .T = T, .x = mid, .out = end, .shift_in = in.ffn_shift, .shift_out = next.ffn_shift, .resets = a.seg.resets},
               saved ? &saved->ffn : nullptr);
  drop(ex, a.seg, drop_stream(name, kEnd), end);
  if (tiny_) tiny_->forward(ex, {.B = B, .T = T, .x = end, .out = out, .x_emb = a.in.shared.view({R, C_})});
  if (!saved) return;
  saved->mid = mid;
  saved->end = end;
}

void Block::backward(const Exec& ex, const UnitBackward& a) const {
  const int64_t B = a.seg.B, T = a.seg.T, R = B * T;
  const BlockSaved& saved = a.saved.as<BlockSaved>();
  const Tensor dx = a.grad.dx.view({R, C_});
  const States in = states_of(a.state_in), dnext = states_of(a.dstate_out), din = states_of(a.dstate_in);
  if (tiny_)
    tiny_->backward(ex,
                    {.B = B, .T = T, .x = saved.end, .x_emb = a.in.shared.view({R, C_}), .dx = dx, .dx_emb = a.grad.dshared.view({R, C_})});
  drop(ex, a.seg, drop_stream(name, kEnd), dx);
  ffn_.backward(ex,
                {.B = B,
                 .T = T,
                 .x = saved.mid,
                 .dx = dx,
                 .shift_in = in.ffn_shift,
                 .dshift_out = dnext.ffn_shift,
                 .dshift_in = din.ffn_shift,
                 .resets = a.seg.resets},
                saved.ffn);
  drop(ex, a.seg, drop_stream(name, kMid), dx);
  const MixBackward first{.B = B,
                          .T = T,
                          .x = a.in.x.view({R, C_}),
                          .dx = dx,
                          .shift_in = in.att_shift,
                          .dshift_out = dnext.att_shift,
                          .dwkv_out = dnext.wkv,
                          .dshift_in = din.att_shift,
                          .dwkv_in = din.wkv,
                          .resets = a.seg.resets};
  if (ffn_pre_) return ffn_pre_->backward(ex, first, saved.ffn_pre);
  att_->backward(ex, first, saved.att);
}

}  // namespace rk::rwkv4
