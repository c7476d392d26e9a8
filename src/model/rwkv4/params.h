// The parameters of RWKV-4's units, by role.
#pragma once
#include "model/parts/gated_channel_mix.h"
#include "model/parts/model.h"

namespace rk::rwkv4 {

struct TimeMixParams {
  NormParams ln1;
  Param *decay, *first;          // [A]
  Param *mix_k, *mix_v, *mix_r;  // [1,1,C]
  Param *key, *value, *receptance, *output;
};
struct BlockParams {
  TimeMixParams att;              // null in a block that begins with a channel mix,
  GatedChannelMixParams ffn_pre;  // which is this
  GatedChannelMixParams ffn;
};
using Params = ModelParams<BlockParams>;

// Adds all parameters to `table` in the order of upstream's files, with initial values and owning units.
Params add_params(ParamTable& table, const ModelSpec& spec);
bool begins_with_channel_mix(const ModelSpec& spec, int64_t layer);

}  // namespace rk::rwkv4
