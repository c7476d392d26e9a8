// RWKV-7's channel mix with its norm and the residual stream around it:  out = x + W_value relu(W_key mix(LN2(x)))^2.
#pragma once
#include "model/rwkv7/params.h"
#include "nn/linear.h"

namespace rk::rwkv7 {

struct ChannelMixForward {
  int64_t B, T;
  Tensor x, out;               // [R,C], R = B*T: the residual stream before and after; out may be x
  Tensor shift_in, shift_out;  // null = zero; null = not wanted
  Tensor resets;               // of the segment
  Tensor hidden;               // [R,F] relu(...)^2, written: what backward needs beside x
};
struct ChannelMixBackward {
  int64_t B, T;
  Tensor x, hidden;              // as in forward; as forward left it
  Tensor dx;                     // gradient of out on entry, of x on return
  Tensor shift_in;               // as in forward
  Tensor dshift_out, dshift_in;  // null = zero; null = not wanted
  Tensor resets;                 // as in forward
};

class ChannelMix {
 public:
  ChannelMix(const ChannelMixParams& p, const ModelSpec& spec);
  void forward(const Exec& ex, const ChannelMixForward& a) const;
  void backward(const Exec& ex, const ChannelMixBackward& a) const;
  Tensor take_hidden(Arena& arena, int64_t R) const { return arena.take(dtype_, {R, key_.n_out()}); }

 private:
  Tensor mix(const Exec& ex, const Shape& shape, Tensor x, Tensor resets, Tensor shift_in, Tensor shift_out) const;

  ChannelMixParams p_;
  DType dtype_;
  Linear key_, value_;
};

}  // namespace rk::rwkv7
