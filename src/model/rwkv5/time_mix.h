// RWKV-5.2's time mix (golden rwkv456 §3) with its norm and the residual stream around it:  out = x + W_o (norm(wkv) * silu(g)).
#pragma once
#include <algorithm>
#include <array>

#include "model/rwkv5/params.h"

namespace rk::rwkv5 {

// What backward needs. Norm, mixes and the product before W_o are formed again.
struct TimeMixSaved {
  Tensor r, k, v, g, y;  // [R,C]; g before its function
  Tensor states;         // of the operator
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
  enum Mix : size_t { kK, kV, kR, kG, kMixes };
  using Mixes = std::array<Tensor, 6>;  // of which kMixes are used: as the operator takes them
  Mixes weights(const Exec& ex) const;
  void mix(const Exec& ex, const MixForward& a, const Mixes& y) const;
  void mix_backward(const Exec& ex, const MixBackward& a, const Mixes& dy) const;
  GatedWkvTensors tensors(const Exec& ex, const Saved& s) const;
  Mixes in_sequences(const Mixes& rows, int64_t B) const;

  TimeMixParams p_;
  int64_t C_;
  DType dtype_;
  Linear receptance_, key_, value_, gate_;
  GatedWkv wkv_;
};

}  // namespace rk::rwkv5
