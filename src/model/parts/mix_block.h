// Time mix and channel mix with the states that they carry: a block of any family.
#pragma once
#include <optional>

#include "kernels/rows/op.h"
#include "model/families.h"
#include "model/parts/mix.h"
#include "model/parts/tiny_attention.h"
#include "nn/bound.h"
#include "nn/drop.h"

namespace rk {

struct BlockRules {
  bool drops = true;                  // whether the residual stream is dropped behind both mixes (golden rwkv456 §1)
  Param* time_state = nullptr;        // [H,N,N] what the operator begins a sequence with; null: zero
  std::optional<TinyAttention> tiny;  // what ends the block; its x_emb is Flow::shared
};

// The mixes have forward(ex, MixForward, Saved*) and backward(ex, MixBackward, const Saved&); a time mix has wkv_shape(B), too. What stands
// in place of a time mix and has it not carries no state of an operator.
template <class TimeMix, class ChannelMix>
class MixBlock : public Unit {
 public:
  MixBlock(int64_t layer, const ModelSpec& spec, TimeMix att, ChannelMix ffn, BlockRules rules = {})
      : Unit(cat("blocks.", layer)), att_(std::move(att)), ffn_(std::move(ffn)), rules_(rules), C_(spec.n_embd), dtype_(spec.dtype) {}

  std::vector<StateSpec> state_specs(int64_t B) const override {
    const StateSpec att_shift{"att_shift", {B, C_}, dtype_}, ffn_shift{"ffn_shift", {B, C_}, dtype_};
    if (!kOperator) return {att_shift, ffn_shift};
    return {att_shift, {"wkv", wkv_shape(B), acc_dtype(dtype_)}, ffn_shift};
  }

  void forward(const Exec& ex, const UnitForward& a) const override {
    const ArenaScope scope(*ex.scratch);
    const int64_t B = a.seg.B, T = a.seg.T;
    const Tensor x = rows(a.in.x), out = rows(a.out.x);
    BlockSaved* saved = a.saved ? &a.saved->emplace<BlockSaved>() : nullptr;
    const Tensor mid = saved ? ex.kept->take(dtype_, {B * T, C_}) : out;
    const Tensor end = saved && rules_.tiny ? ex.kept->take(dtype_, {B * T, C_}) : out;
    att_.forward(ex,
                 {.B = B,
                  .T = T,
                  .x = x,
                  .out = mid,
                  .shared = rows(a.out.shared),
                  .shift_in = part(a.state_in, kAttShift),
                  .shift_out = part(a.state_out, kAttShift),
                  .wkv_in = begins(a) ? first_state(ex, a.seg) : part(a.state_in, kWkv),
                  .wkv_out = part(a.state_out, kWkv),
                  .resets = a.seg.resets},
                 saved ? &saved->att : nullptr);
    if (rules_.drops) drop(ex, a.seg, drop_stream(name, kAfterAtt), mid);
    ffn_.forward(ex,
                 {.B = B,
                  .T = T,
                  .x = mid,
                  .out = end,
                  .shared = {},
                  .shift_in = part(a.state_in, kFfnShift),
                  .shift_out = part(a.state_out, kFfnShift),
                  .wkv_in = {},
                  .wkv_out = {},
                  .resets = a.seg.resets},
                 saved ? &saved->ffn : nullptr);
    if (rules_.drops) drop(ex, a.seg, drop_stream(name, kAfterFfn), end);
    if (rules_.tiny) rules_.tiny->forward(ex, {.B = B, .T = T, .x = end, .out = out, .x_emb = rows(a.in.shared)});
    if (!saved) return;
    saved->mid = mid;
    saved->end = end;
  }

  void backward(const Exec& ex, const UnitBackward& a) const override {
    const ArenaScope scope(*ex.scratch);
    const int64_t B = a.seg.B, T = a.seg.T;
    const BlockSaved& saved = a.saved.as<BlockSaved>();
    const Tensor dx = rows(a.grad.dx);
    if (rules_.tiny)
      rules_.tiny->backward(ex, {.B = B, .T = T, .x = saved.end, .x_emb = rows(a.in.shared), .dx = dx, .dx_emb = rows(a.grad.dshared)});
    if (rules_.drops) drop(ex, a.seg, drop_stream(name, kAfterFfn), dx);
    ffn_.backward(ex,
                  {.B = B,
                   .T = T,
                   .x = saved.mid,
                   .shared = {},
                   .dx = dx,
                   .dshared = {},
                   .shift_in = part(a.state_in, kFfnShift),
                   .dshift_out = part(a.dstate_out, kFfnShift),
                   .dwkv_out = {},
                   .dshift_in = part(a.dstate_in, kFfnShift),
                   .dwkv_in = {},
                   .resets = a.seg.resets},
                  saved.ffn);
    if (rules_.drops) drop(ex, a.seg, drop_stream(name, kAfterAtt), dx);
    const bool trains_state = begins(a) && rules_.time_state->trainable;
    Tensor dwkv_in = part(a.dstate_in, kWkv);
    if (trains_state && a.dstate_in.empty()) dwkv_in = ex.scratch->take(acc_dtype(dtype_), wkv_shape(B));
    att_.backward(ex,
                  {.B = B,
                   .T = T,
                   .x = rows(a.in.x),
                   .shared = rows(a.in.shared),
                   .dx = dx,
                   .dshared = rows(a.grad.dshared),
                   .shift_in = part(a.state_in, kAttShift),
                   .dshift_out = part(a.dstate_out, kAttShift),
                   .dwkv_out = part(a.dstate_out, kWkv),
                   .dshift_in = part(a.dstate_in, kAttShift),
                   .dwkv_in = dwkv_in,
                   .resets = a.seg.resets},
                  saved.att);
    if (trains_state) run(ex, SumRows{.x = dwkv_in.view({B, dwkv_in.numel() / B}), .y = flat(grad(ex, *rules_.time_state))});
  }

 private:
  struct BlockSaved {
    typename TimeMix::Saved att;
    typename ChannelMix::Saved ffn;
    Tensor mid, end;  // the residual between the two mixes, and in front of a small attention
  };
  static constexpr bool kOperator = requires(const TimeMix& mix) { mix.wkv_shape(1); };
  enum State : size_t { kAttShift, kWkv, kFfnShift };
  enum DropPlace : uint64_t { kAfterAtt, kAfterFfn };

  static Tensor part(std::span<const Tensor> states, State which) {
    if (states.empty() || (which == kWkv && !kOperator)) return {};
    return states[which == kFfnShift ? states.size() - 1 : which];
  }
  Shape wkv_shape(int64_t B) const {
    if constexpr (kOperator) return att_.wkv_shape(B);
    return {};
  }
  Tensor rows(const Tensor& t) const { return t.shape.rank == 0 ? Tensor{} : t.view({t.numel() / C_, C_}); }
  static Tensor flat(const Tensor& t) { return t.view({t.numel()}); }

  // Whether the segment is the first of its sequences, and they have a state to begin with.
  template <class Args>
  bool begins(const Args& a) const {
    return rules_.time_state && a.state_in.empty();
  }
  Tensor first_state(const Exec& ex, const Segment& seg) const {
    if (seg.resets.shape.rank > 0)
      fail(cat(name,
               ".att.time_state is the state before a sample, and documents inside a row would begin without it; train it with "
               "--doc_reset 0"));
    const Tensor state = ex.scratch->take(acc_dtype(dtype_), wkv_shape(seg.B));
    run(ex, RepeatRows{.x = flat(value(ex, *rules_.time_state)), .y = state.view({seg.B, state.numel() / seg.B})});
    return state;
  }

  TimeMix att_;
  ChannelMix ffn_;
  BlockRules rules_;
  int64_t C_;
  DType dtype_;
};

}  // namespace rk
