// RWKV-7's channel mix with its norm and the residual stream around it:  out = x + W_value relu(W_key mix(LN2(x)))^2.
#pragma once
#include "model/parts/mix.h"
#include "model/rwkv7/params.h"
#include "nn/linear.h"

namespace rk::rwkv7 {

struct ChannelMixSaved {
  Tensor hidden;  // [R,F] relu(...)^2: what backward needs beside x
};

class ChannelMix {
 public:
  using Saved = ChannelMixSaved;
  ChannelMix(const ChannelMixParams& p, const ModelSpec& spec);
  // saved null: no backward follows.
  void forward(const Exec& ex, const MixForward& a, Saved* saved) const;
  void backward(const Exec& ex, const MixBackward& a, const Saved& saved) const;

 private:
  Tensor take_hidden(Arena& arena, int64_t R) const { return arena.take(dtype_, {R, key_.n_out()}); }
  Tensor mix(const Exec& ex, const Shape& shape, Tensor x, Tensor resets, Tensor shift_in, Tensor shift_out) const;

  ChannelMixParams p_;
  DType dtype_;
  Linear key_, value_;
};

}  // namespace rk::rwkv7
