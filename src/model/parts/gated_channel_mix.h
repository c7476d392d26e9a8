// The channel mix of RWKV-4, 5 and 6 (golden rwkv456 §1) with its norm and the residual stream around it:
//   out = x + sigmoid(W_receptance mix_r(z)) * W_value relu(W_key mix_k(z))^2,   z = LN(x)
#pragma once
#include "model/families.h"
#include "model/parts/mix.h"
#include "model/parts/params.h"
#include "nn/linear.h"

namespace rk {

struct GatedChannelMixParams {
  NormParams norm;
  Param *mix_k, *mix_r, *key, *receptance, *value;
};
// How a family begins: value and receptance are zero in all of them.
struct GatedChannelMixInit {
  const char* mix_prefix;  // "time_mix_"
  InitRule mix, key;
};
// Adds what lies below "ffn." to a table, in file order; the norm is added by the caller.
GatedChannelMixParams add_gated_channel_mix(const ParamAdder& ffn, NormParams norm, const ModelSpec& spec, const GatedChannelMixInit& init);

// What backward needs beside x. Norm and mixes are formed again; with Exec::keep_less also r.
struct GatedChannelMixSaved {
  Tensor hidden;  // [R,F] relu(...)^2
  Tensor r, v;    // [R,C] the products with W_receptance and W_value; null r: formed again
};

class GatedChannelMix {
 public:
  using Saved = GatedChannelMixSaved;
  // mu_of_self: how much of a token itself is in a mix is what the weights say, as in RWKV-4 and 5.
  GatedChannelMix(const GatedChannelMixParams& p, const ModelSpec& spec, bool mu_of_self);
  // saved null: no backward follows.
  void forward(const Exec& ex, const MixForward& a, Saved* saved) const;
  // What is saved is used up.
  void backward(const Exec& ex, const MixBackward& a, const Saved& saved) const;

 private:
  struct Mixes {
    Tensor k, r;  // [R,C]
  };
  Mixes mix(const Exec& ex, const MixForward& a) const;

  GatedChannelMixParams p_;
  DType dtype_;
  bool mu_of_self_;
  Linear key_, receptance_, value_;
};

}  // namespace rk
