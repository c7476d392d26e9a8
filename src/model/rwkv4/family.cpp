#include "model/rwkv4/family.h"

#include "model/parts/embedding.h"
#include "model/parts/head.h"
#include "model/rwkv4/block.h"

namespace rk::rwkv4 {

std::unique_ptr<Model> make(const ModelSpec& spec) {
  auto model = std::make_unique<Model>();
  model->family = "rwkv4";
  model->dtype = spec.dtype;
  model->n_layer = spec.n_layer;
  model->n_embd = spec.n_embd;
  model->n_vocab = spec.vocab_size;
  set_old_parts(*model, spec);
  const Params params = add_params(model->params, spec);
  set_groups(model->params, {});
  model->units.push_back(std::make_unique<Embedding>(params.emb, spec));
  for (int64_t l = 0; l < spec.n_layer; ++l)
    model->units.push_back(std::make_unique<Block>(params.blocks[static_cast<size_t>(l)], spec, l));
  model->units.push_back(std::make_unique<Head>(params.head, spec));
  return model;
}

}  // namespace rk::rwkv4
