// The parameters of RWKV-6's units, by role, and its variants.
#pragma once
#include <array>
#include <span>

#include "model/families.h"
#include "model/parts/gated_channel_mix.h"
#include "model/parts/gated_wkv.h"
#include "model/parts/model.h"

namespace rk::rwkv6 {

// x060; x060a: the gate is a product through a narrow middle; x060b: no gate, and a norm over all channels.
enum class Variant : uint8_t { plain, a, b };
Variant variant_of(const std::string& arch);

// Inputs of the projections.
enum Mix : size_t { kW, kK, kV, kR, kG, kMixes };
// Of a variant, in the order in which its factors are stored.
std::span<const Mix> mixes_of(Variant v);

struct DynamicMixParams {
  NormParams ln1;
  Param* maa_x;
  std::array<Param*, kMixes> maa;  // by Mix; null where a variant has none
  Param *w1, *w2;                  // [C,n*M], [n,M,C]
};
struct TimeMixParams {
  DynamicMixParams mix;
  Param *decay, *decay_w1, *decay_w2;
  Param *receptance, *key, *value;
  Param* gate;               // plain
  Param *gate_w1, *gate_w2;  // a
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

}  // namespace rk::rwkv6
