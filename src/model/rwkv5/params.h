// The parameters of RWKV-5.2's units, by role.
#pragma once
#include "model/parts/gated_channel_mix.h"
#include "model/parts/gated_wkv.h"
#include "model/parts/model.h"

namespace rk::rwkv5 {

struct TimeMixParams {
  NormParams ln1;
  Param *mix_k, *mix_v, *mix_r, *mix_g;  // [1,1,C]
  Param* decay;                          // [H,N]
  Param *receptance, *key, *value, *gate;
  GatedWkvParams wkv;
  Param* time_state;  // null where the model has none
};
struct BlockParams {
  TimeMixParams att;
  GatedChannelMixParams ffn;
};
using Params = ModelParams<BlockParams>;

// Adds all parameters to `table` in the order of upstream's files, with initial values and owning units.
Params add_params(ParamTable& table, const ModelSpec& spec);

}  // namespace rk::rwkv5
