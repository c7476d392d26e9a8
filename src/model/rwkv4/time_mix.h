// RWKV-4's time mix with its norm and the residual stream around it:  out = x + W_o (sigmoid(r) * wkv(k, v)),  r, k, v from LN1(x).
#pragma once
#include <array>

#include "model/rwkv4/params.h"
#include "nn/linear.h"

namespace rk::rwkv4 {

// What backward needs beside x; norm, mixes and the product before W_o are formed again.
struct TimeMixSaved {
  Tensor k, v, r, y;  // [R,A]; r before the sigmoid, y of the operator
  Tensor states;      // of the operator
};

struct TimeMixForward {
  int64_t B, T;
  Tensor x, out;              // [R,C], R = B*T: the residual stream before and after; out may be x
  Tensor shift_in, wkv_in;    // null = zero
  Tensor shift_out, wkv_out;  // null = not wanted
  Tensor resets;              // of the segment
  TimeMixSaved* saved = nullptr;
};
struct TimeMixBackward {
  int64_t B, T;
  Tensor x;                     // as in forward
  Tensor dx;                    // gradient of out on entry, of x on return
  Tensor shift_in, wkv_in;      // as in forward
  Tensor dshift_out, dwkv_out;  // null = zero
  Tensor dshift_in, dwkv_in;    // null = not wanted
  Tensor resets;                // as in forward
  const TimeMixSaved& saved;
};

class TimeMix {
 public:
  TimeMix(const TimeMixParams& p, const ModelSpec& spec);
  void forward(const Exec& ex, const TimeMixForward& a) const;
  void backward(const Exec& ex, const TimeMixBackward& a) const;

 private:
  enum Mix : size_t { kK, kV, kR, kMixes };
  using Mixes = std::array<Tensor, 6>;  // inputs of the projections, as the operators take them
  // Of what forward saves.
  struct Gradients {
    Tensor k, v, r;
  };
  TimeMixSaved take(const Exec& ex, const TimeMixForward& a) const;
  Tensor take_rows(Arena& arena, int64_t R) const { return arena.take(dtype_, {R, A_}); }
  Mixes mix_weights(const Exec& ex) const;
  Mixes mix(const Exec& ex, const Shape& shape, Tensor x, Tensor resets, Tensor shift_in, Tensor shift_out) const;
  void operator_backward(const Exec& ex, const TimeMixBackward& a, const Gradients& d) const;
  void project_backward(const Exec& ex, const TimeMixBackward& a, const Gradients& d) const;

  TimeMixParams p_;
  int64_t C_, A_;
  DType dtype_;
  Linear key_, value_, receptance_, output_;
};

}  // namespace rk::rwkv4
