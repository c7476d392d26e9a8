#include "model/rwkv6/family.h"

#include "model/parts/mix_block.h"
#include "model/rwkv6/time_mix.h"

namespace rk::rwkv6 {

std::unique_ptr<Model> make(const ModelSpec& spec) {
  auto model = empty_model("rwkv6", spec);
  const Params params = add_params(model->params, spec);
  set_groups(model->params, {});
  add_units(*model, spec, params, [&](int64_t l, const BlockParams& p, std::optional<TinyAttention> tiny) {
    return std::make_unique<MixBlock<TimeMix, GatedChannelMix>>(l, spec, TimeMix(p.att, spec), GatedChannelMix(p.ffn, spec, false),
                                                                BlockRules{.time_state = p.att.time_state, .tiny = std::move(tiny)});
  });
  return model;
}

}  // namespace rk::rwkv6
