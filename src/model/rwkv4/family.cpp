#include "model/rwkv4/family.h"

#include "model/parts/mix_block.h"
#include "model/rwkv4/time_mix.h"

namespace rk::rwkv4 {

std::unique_ptr<Model> make(const ModelSpec& spec) {
  auto model = empty_model("rwkv4", spec);
  const Params params = add_params(model->params, spec);
  set_groups(model->params, {});
  add_units(*model, spec, params, [&](int64_t l, const BlockParams& p, std::optional<TinyAttention> tiny) -> std::unique_ptr<Unit> {
    const GatedChannelMix ffn(p.ffn, spec, true);
    BlockRules rules{.tiny = std::move(tiny)};
    if (begins_with_channel_mix(spec, l))
      return std::make_unique<MixBlock<GatedChannelMix, GatedChannelMix>>(l, spec, GatedChannelMix(p.ffn_pre, spec, true), ffn, rules);
    return std::make_unique<MixBlock<TimeMix, GatedChannelMix>>(l, spec, TimeMix(p.att, spec), ffn, rules);
  });
  return model;
}

}  // namespace rk::rwkv4
