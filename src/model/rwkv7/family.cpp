#include "model/rwkv7/family.h"

#include "model/parts/mix_block.h"
#include "model/rwkv7/channel_mix.h"
#include "model/rwkv7/time_mix.h"

namespace rk::rwkv7 {

std::unique_ptr<Model> make(const ModelSpec& spec) {
  auto model = empty_model("rwkv7", spec);
  model->shares = true;
  const Params params = add_params(model->params, spec);
  set_groups(model->params, {});
  add_units(*model, spec, params, [&](int64_t l, const BlockParams& p, const std::optional<TinyAttention>&) {
    return std::make_unique<MixBlock<TimeMix, ChannelMix>>(l, spec, TimeMix(p.att, spec, l == 0), ChannelMix(p.ffn, spec),
                                                           BlockRules{.drops = false, .time_state = p.att.time_state, .tiny = {}});
  });
  return model;
}

}  // namespace rk::rwkv7
