// The mixes of RWKV-6, whose weights depend on the token (golden rwkv456 §4):
//   z = LN1(x);  hidden = tanh((z + (prev - z) maa_x) W1);  y_f = z + (prev - z) (maa_f + hidden_f W2_f),   hidden_f: the f-th block of
//   columns
#pragma once
#include "kernels/norm_mix/op.h"
#include "model/parts/mix.h"
#include "model/rwkv6/params.h"
#include "nn/linear.h"

namespace rk::rwkv6 {

// By Mix; null where a variant has none.
using Mixes = std::array<Tensor, kMixes>;

class DynamicMix {
 public:
  DynamicMix(const DynamicMixParams& p, const ModelSpec& spec);
  Tensor take_hidden(Arena& arena, int64_t R) const { return arena.take(dtype_, {R, w1_.n_out()}); }
  // hidden [R,n*M]; room [R,C] is overwritten.
  void hide(const Exec& ex, const MixForward& a, Tensor hidden, Tensor room) const;
  // Writes the mixes from what hide() left.
  void mix(const Exec& ex, const MixForward& a, Tensor hidden, const Mixes& y) const;
  // dy, and places of [R,C] for as many, are used up; a.dx gets what belongs to the mixes added.
  void backward(const Exec& ex, const MixBackward& a, Tensor hidden, const Mixes& dy, const Mixes& places) const;

 private:
  Tensor split(const Exec& ex, Tensor hidden) const;
  void widen(const Exec& ex, const Tensor& parts, const Mixes& more) const;
  void mix_first(const Exec& ex, const MixForward& a, Tensor y) const;
  NormMixBackward norm_backward(const Exec& ex, const MixBackward& a) const;
  void mix_backward(const Exec& ex, const MixBackward& a, const Mixes& dy, const Mixes& more) const;
  void hide_backward(const Exec& ex, const MixBackward& a, Tensor hidden, Tensor dhidden, Tensor room) const;

  DynamicMixParams p_;
  std::span<const Mix> mixes_;
  int64_t C_;
  DType dtype_;
  Linear w1_;
  std::vector<Linear> w2_;  // as mixes_
};

}  // namespace rk::rwkv6
