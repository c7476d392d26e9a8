// RWKV-6's time mix (golden rwkv456 §4) with its norm and the residual stream around it:  out = x + W_o (norm(wkv) * gate).
#pragma once
#include "model/rwkv6/dynamic_mix.h"
#include "nn/low_rank.h"

namespace rk::rwkv6 {

// What backward needs. Norm, mixes and the product before W_o are formed again; with Exec::keep_less also w, and x060a's g, from their
// hidden values.
struct TimeMixSaved {
  Tensor r, k, v, w, g, y;                       // [R,C]; no g where there is no gate
  Tensor mix_hidden, decay_hidden, gate_hidden;  // [R,width]
  Tensor states;                                 // of the operator
};

class TimeMix {
 public:
  using Saved = TimeMixSaved;
  TimeMix(const TimeMixParams& p, const ModelSpec& spec);
  // saved null: no backward follows.
  void forward(const Exec& ex, const MixForward& a, Saved* saved) const;
  // What is saved is used up.
  void backward(const Exec& ex, const MixBackward& a, const Saved& saved) const;
  Shape wkv_shape(int64_t B) const { return wkv_.wkv_shape(B); }

 private:
  Saved take(const Exec& ex, const MixForward& a, bool kept) const;
  void take_expanded(Arena& arena, int64_t R, Saved& s) const;
  void expand(const Exec& ex, Saved& s) const;
  void project(const Exec& ex, const Mixes& x, const Saved& s) const;
  void project_backward(const Exec& ex, const Mixes& x, const Saved& s, const GatedWkvGradients& d) const;
  Tensor take_rows(Arena& arena, int64_t R) const { return arena.take(dtype_, {R, C_}); }
  GatedWkvTensors tensors(const Saved& s, int64_t B, int64_t T) const;

  TimeMixParams p_;
  Variant variant_;
  int64_t C_;
  DType dtype_;
  DynamicMix mix_;
  Linear receptance_, key_, value_, gate_;
  LowRank decay_, low_gate_;
  GatedWkv wkv_;
};

}  // namespace rk::rwkv6
