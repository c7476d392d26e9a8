// RWKV-7's time mix with its norm and the residual stream around it:  out = x + W_o (z g),  z g from LN1(x). What blocks share is v_first,
// which layer 0 writes and the others read; in backward they add to its gradient, which layer 0 reads.
#pragma once
#include <array>

#include "model/parts/mix.h"
#include "model/rwkv7/params.h"
#include "nn/low_rank.h"

namespace rk::rwkv7 {

// What backward needs. Norm, mixes, the operator's operands and the product before W_o are formed again; with Exec::keep_less also
// w, a_lora, v_lora and g, from their hidden values.
struct TimeMixSaved {
  Tensor r, w, k0, v0, a_lora, v_lora, g, y;      // [R,C]; v0 is v_first in layer 0, which has no v_lora
  Tensor w_hidden, a_hidden, v_hidden, g_hidden;  // [R,width]
  Tensor states;                                  // of the operator
};

class TimeMix {
 public:
  using Saved = TimeMixSaved;
  TimeMix(const TimeMixParams& p, const ModelSpec& spec, bool first);
  // saved null: no backward follows.
  void forward(const Exec& ex, const MixForward& a, Saved* saved) const;
  void backward(const Exec& ex, const MixBackward& a, const Saved& saved) const;
  Shape wkv_shape(int64_t B) const { return {B, C_ / N_, N_, N_}; }

 private:
  enum Mix : size_t { kR, kW, kK, kV, kA, kG, kMixes };
  using Mixes = std::array<Tensor, kMixes>;  // inputs of the projections
  // What the operator reads beside r and w.
  struct Operands {
    Tensor k, a, b, v;
  };
  // Of what forward saves.
  struct Gradients {
    Tensor r, w, k0, v0, a_lora, v_lora, g;
  };
  TimeMixSaved take(const Exec& ex, const MixForward& a, bool kept) const;
  void take_expanded(Arena& arena, int64_t R, TimeMixSaved& s) const;
  void expand(const Exec& ex, TimeMixSaved& s) const;
  Tensor take_rows(Arena& arena, int64_t R) const { return arena.take(dtype_, {R, C_}); }
  Shape heads(int64_t B, int64_t T) const { return {B, T, C_ / N_, N_}; }
  std::array<Tensor, kMixes> mix_weights(const Exec& ex) const;
  Mixes mix(const Exec& ex, const Shape& shape, Tensor x, Tensor resets, Tensor shift_in, Tensor shift_out) const;
  void project(const Exec& ex, const Mixes& x, const TimeMixSaved& s) const;
  Operands prepare(const Exec& ex, const TimeMixSaved& s, const Tensor& v_first) const;
  void operator_backward(const Exec& ex, const MixBackward& a, const TimeMixSaved& s, const Gradients& d) const;
  void prepare_backward(const Exec& ex, const MixBackward& a, const TimeMixSaved& s, const Gradients& d, Tensor db) const;
  void project_backward(const Exec& ex, const MixBackward& a, const TimeMixSaved& s, const Gradients& d) const;

  TimeMixParams p_;
  int64_t C_, N_;
  DType dtype_;
  bool first_;
  Linear receptance_, key_, value_, output_;
  LowRank w_, a_, v_, g_;
};

}  // namespace rk::rwkv7
