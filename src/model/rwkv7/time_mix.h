// RWKV-7's time mix with its norm and the residual stream around it:  out = x + W_o (z g),  z g from LN1(x).
#pragma once
#include <array>

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

struct TimeMixForward {
  int64_t B, T;
  Tensor x, out;              // [R,C], R = B*T: the residual stream before and after; out may be x
  Tensor v_first;             // [R,C] written by layer 0, read by the others
  Tensor shift_in, wkv_in;    // null = zero
  Tensor shift_out, wkv_out;  // null = not wanted
  Tensor resets;              // of the segment
  TimeMixSaved* saved = nullptr;
};
struct TimeMixBackward {
  int64_t B, T;
  Tensor x, v_first;            // as in forward
  Tensor dx;                    // gradient of out on entry, of x on return
  Tensor dv_first;              // accumulation dtype; added to, read by layer 0
  Tensor shift_in;              // as in forward
  Tensor dshift_out, dwkv_out;  // null = zero
  Tensor dshift_in, dwkv_in;    // null = not wanted
  Tensor resets;                // as in forward
  const TimeMixSaved& saved;
};

class TimeMix {
 public:
  TimeMix(const TimeMixParams& p, const ModelSpec& spec, bool first);
  void forward(const Exec& ex, const TimeMixForward& a) const;
  void backward(const Exec& ex, const TimeMixBackward& a) const;

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
  TimeMixSaved take(const Exec& ex, const TimeMixForward& a) const;
  void take_expanded(Arena& arena, int64_t R, TimeMixSaved& s) const;
  void expand(const Exec& ex, TimeMixSaved& s) const;
  Tensor take_rows(Arena& arena, int64_t R) const { return arena.take(dtype_, {R, C_}); }
  Shape heads(int64_t B, int64_t T) const { return {B, T, C_ / N_, N_}; }
  std::array<Tensor, kMixes> mix_weights(const Exec& ex) const;
  Mixes mix(const Exec& ex, const Shape& shape, Tensor x, Tensor resets, Tensor shift_in, Tensor shift_out) const;
  void project(const Exec& ex, const Mixes& x, const TimeMixSaved& s) const;
  Operands prepare(const Exec& ex, const TimeMixSaved& s, const Tensor& v_first) const;
  void operator_backward(const Exec& ex, const TimeMixBackward& a, const TimeMixSaved& s, const Gradients& d) const;
  void prepare_backward(const Exec& ex, const TimeMixBackward& a, const TimeMixSaved& s, const Gradients& d, Tensor db) const;
  void project_backward(const Exec& ex, const TimeMixBackward& a, const Gradients& d) const;

  TimeMixParams p_;
  int64_t C_, N_;
  DType dtype_;
  bool first_;
  Linear receptance_, key_, value_, output_;
  LowRank w_, a_, v_, g_;
};

}  // namespace rk::rwkv7
