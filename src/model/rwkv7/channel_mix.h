// RWKV-7's channel mix with its norm, added onto the residual stream:  x += W_value relu(W_key mix(LN2(x)))^2.
#pragma once
#include "model/rwkv7/params.h"
#include "nn/linear.h"
#include "nn/norm.h"

namespace rk::rwkv7 {

struct ChannelMixForward {
  int64_t B, T;
  Tensor residual;             // [R,C], R = B*T; read, then added to
  Tensor shift_in, shift_out;  // null = zero; null = not wanted
  Tensor hidden;               // [R,F] relu(...)^2, written: what backward needs beside the residual
};
struct ChannelMixBackward {
  int64_t B, T;
  Tensor x, hidden;              // the residual before forward; as forward left it
  Tensor dx;                     // gradient of the residual, in place
  Tensor shift_in;               // as in forward
  Tensor dshift_out, dshift_in;  // null = zero; null = not wanted
};

class ChannelMix {
 public:
  ChannelMix(const ChannelMixParams& p, const ModelSpec& spec);
  void forward(const Exec& ex, const ChannelMixForward& a) const;
  void backward(const Exec& ex, const ChannelMixBackward& a) const;
  Tensor take_hidden(Arena& arena, int64_t R) const { return arena.take(dtype_, {R, key_.n_out()}); }

 private:
  // The mix and what it comes from.
  struct Input {
    Tensor normed, mixed;
    NormStats stats;
  };
  Input mix(const Exec& ex, const Shape& shape, Tensor x, Tensor shift_in, Tensor shift_out) const;

  ChannelMixParams p_;
  DType dtype_;
  Norm ln2_;
  Linear key_, value_;
};

}  // namespace rk::rwkv7
