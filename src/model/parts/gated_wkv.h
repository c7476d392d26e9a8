// The operator of RWKV-5 and 6 and what follows it (golden rwkv456 §3, §4):
//   out = x + W_output (norm(wkv(r, k, v, w, u)) * gate),   norm: by heads where there is a gate, over all channels where there is none
#pragma once
#include "kernels/group_norm_gate/op.h"
#include "model/families.h"
#include "model/parts/mix.h"
#include "model/parts/params.h"
#include "nn/linear.h"
#include "nn/norm.h"

namespace rk {

struct GatedWkvParams {
  Param *bonus, *output;  // u [H,N]; [C,C]
  NormParams ln_x;
};

enum class WkvGate : uint8_t { none, silu, identity };

// All that the operator reads and leaves, beside parameters.
struct GatedWkvTensors {
  Tensor r, k, v;  // [R,C]
  Tensor w;        // raw decays: [B,T,H,N], or [H,N] for all tokens
  Tensor g;        // [R,C] before its function; null where there is no gate
  Tensor y;        // [R,C] of the operator
  Tensor states;   // of the operator
};
// Gradients of r, k, v, w and g (w: where it is a token's), and places of [R,C] that hold nothing any more.
struct GatedWkvGradients {
  Tensor r, k, v, w, g;
  std::array<Tensor, 5> places;  // as many as there are gradients
};

class GatedWkv {
 public:
  GatedWkv(const GatedWkvParams& p, const ModelSpec& spec, WkvGate gate);
  // Room for what backward needs of the operator itself.
  Tensor take_states(const Exec& ex, Arena& arena, int64_t B, int64_t T) const;
  // Writes s.y; room [R,C] is overwritten.
  void forward(const Exec& ex, const MixForward& a, const GatedWkvTensors& s, Tensor room) const;
  // dw [H,N]: of decays that are all tokens', added to; null where they are not or are frozen. The gradients lie in scratch of the caller's
  // scope and in the places of s, whose tensors are used up.
  GatedWkvGradients backward(const Exec& ex, const MixBackward& a, const GatedWkvTensors& s, Tensor dw) const;
  Shape heads(int64_t B, int64_t T) const { return {B, T, C_ / N_, N_}; }
  Shape wkv_shape(int64_t B) const { return {B, C_ / N_, N_, N_}; }

 private:
  void norm(const Exec& ex, const GatedWkvTensors& s, Tensor out) const;
  GatedWkvGradients norm_backward(const Exec& ex, const MixBackward& a, const GatedWkvTensors& s, Tensor& dy) const;

  GatedWkvParams p_;
  WkvGate gate_;
  int64_t C_, N_;
  double eps_;
  DType dtype_;
  Linear output_;
  Norm norm_;
};

}  // namespace rk
