// RWKV-4's time mix with its norm and the residual stream around it:  out = x + W_o (sigmoid(r) * wkv(k, v)),  r, k, v from LN1(x).
#pragma once
#include <array>

#include "model/parts/mix.h"
#include "model/rwkv4/params.h"
#include "nn/linear.h"

namespace rk::rwkv4 {

// What backward needs beside x; norm, mixes and the product before W_o are formed again.
struct TimeMixSaved {
  Tensor k, v, r, y;  // [R,A]; r before the sigmoid, y of the operator
  Tensor states;      // of the operator
};

class TimeMix {
 public:
  using Saved = TimeMixSaved;
  TimeMix(const TimeMixParams& p, const ModelSpec& spec);
  // saved null: no backward follows.
  void forward(const Exec& ex, const MixForward& a, TimeMixSaved* saved) const;
  void backward(const Exec& ex, const MixBackward& a, const TimeMixSaved& saved) const;
  Shape wkv_shape(int64_t B) const { return {B, A_, 3}; }

 private:
  enum Mix : size_t { kK, kV, kR, kMixes };
  using Mixes = std::array<Tensor, 6>;  // inputs of the projections, as the operators take them
  // Of what forward saves.
  struct Gradients {
    Tensor k, v, r;
  };
  TimeMixSaved take(const Exec& ex, const MixForward& a, bool keep) const;
  Tensor take_rows(Arena& arena, int64_t R) const { return arena.take(dtype_, {R, A_}); }
  Mixes mix_weights(const Exec& ex) const;
  Mixes mix(const Exec& ex, const Shape& shape, Tensor x, Tensor resets, Tensor shift_in, Tensor shift_out) const;
  void operator_backward(const Exec& ex, const MixBackward& a, const TimeMixSaved& s, const Gradients& d) const;
  void project_backward(const Exec& ex, const MixBackward& a, const Gradients& d) const;

  TimeMixParams p_;
  int64_t C_, A_;
  DType dtype_;
  Linear key_, value_, receptance_, output_;
};

}  // namespace rk::rwkv4
