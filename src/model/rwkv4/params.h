// The parameters of RWKV-4's units, by role.
#pragma once
#include <vector>

#include "model/families.h"
#include "model/parts/gated_channel_mix.h"
#include "model/parts/old_parts.h"
#include "model/parts/params.h"

namespace rk::rwkv4 {

struct TimeMixParams {
  NormParams ln1;
  Param *time_decay, *time_first;  // [A]
  Param *mix_k, *mix_v, *mix_r;    // [1,1,C]
  Param *key, *value, *receptance, *output;
};
struct BlockParams {
  TimeMixParams att;  // null in a block that begins with a channel mix
  GatedChannelMixParams ffn_pre, ffn;
  TinyAttentionParams tiny;
};
struct Params {
  EmbeddingParams emb;
  std::vector<BlockParams> blocks;
  HeadParams head;
};

// Adds all parameters to `table` in the order of upstream's files, with initial values and owning units.
Params add_params(ParamTable& table, const ModelSpec& spec);

// Initial values that are formulas of the layer and the channel.
struct LayerInit {
  int64_t l, L, C, A;
  InitRule time_decay() const;
  InitRule time_first() const;
  InitRule mix_k() const { return mix(to_last(), 0); }
  InitRule mix_v() const { return mix(to_last(), 0.3 * from_first()); }
  InitRule mix_r() const { return mix(0.5 * to_last(), 0); }

 private:
  InitRule mix(double power, double more) const;  // (i/C)^power + more
  double from_first() const;                      // 0 at the first layer, 1 at the last
  double to_last() const { return 1 - static_cast<double>(l) / static_cast<double>(L); }
};

}  // namespace rk::rwkv4
