// The parameters of RWKV-7's units, by role.
#pragma once
#include <array>
#include <vector>

#include "model/families.h"
#include "model/parts/layer_init.h"
#include "model/parts/model.h"

namespace rk::rwkv7 {

struct TimeMixParams {
  NormParams ln1;
  Param *x_r, *x_w, *x_k, *x_v, *x_a, *x_g;
  Param *w1, *w2, *w0, *a1, *a2, *a0;
  Param *v1, *v2, *v0;  // layer 0: unused, null where the model has none
  Param *g1, *g2;
  Param *k_k, *k_a, *r_k;
  Param* time_state;  // null where the model has none
  Param *receptance, *key, *value, *output;
  NormParams ln_x;
};
struct ChannelMixParams {
  NormParams ln2;
  Param *x_k, *key, *value;
};
struct BlockParams {
  TimeMixParams att;
  ChannelMixParams ffn;
};
using Params = ModelParams<BlockParams>;

// Adds all parameters to `table` in the order of upstream's files, with optimizer groups, initial values and owning units.
Params add_params(ParamTable& table, const ModelSpec& spec);

// Initial values of what the mixes and the operator's operands start from.
struct LayerInit : rk::LayerInit {
  int64_t N;
  InitRule x_rg() const { return of_previous(0.2 * to_last()); }
  InitRule x_wa() const { return of_previous(0.9 * to_last()); }
  InitRule x_kv() const { return of_previous(0.7 * to_last()); }
  InitRule ffn_x_k() const;
  InitRule w0() const;
  InitRule a0() const;
  InitRule v0() const;
  InitRule k_k() const;
};

}  // namespace rk::rwkv7
