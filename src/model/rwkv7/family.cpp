#include "model/rwkv7/family.h"

#include "model/parts/embedding.h"
#include "model/parts/head.h"
#include "model/parts/mix_block.h"
#include "model/rwkv7/channel_mix.h"
#include "model/rwkv7/time_mix.h"

namespace rk::rwkv7 {

std::unique_ptr<Model> make(const ModelSpec& spec) {
  auto model = std::make_unique<Model>();
  model->family = "rwkv7";
  model->dtype = spec.dtype;
  model->n_layer = spec.n_layer;
  model->n_embd = spec.n_embd;
  model->n_vocab = spec.vocab_size;
  model->head_size = spec.head_size;
  model->shares = true;
  const Params params = add_params(model->params, spec);
  set_groups(model->params, {});
  model->units.push_back(std::make_unique<Embedding>(params.emb, spec));
  for (int64_t l = 0; l < spec.n_layer; ++l) {
    const BlockParams& p = params.blocks[static_cast<size_t>(l)];
    model->units.push_back(std::make_unique<MixBlock<TimeMix, ChannelMix>>(l, spec, TimeMix(p.att, spec, l == 0), ChannelMix(p.ffn, spec),
                                                                           BlockRules{.drops = false, .time_state = p.att.time_state}));
  }
  model->units.push_back(std::make_unique<Head>(params.head, spec));
  return model;
}

}  // namespace rk::rwkv7
