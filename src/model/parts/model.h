// What models of all families have: sizes, embedding, numbered blocks, head.
#pragma once
#include "model/families.h"
#include "model/parts/embedding.h"
#include "model/parts/head.h"
#include "model/parts/old_parts.h"
#include "model/parts/tiny_attention.h"

namespace rk {

// All parameters of a model, by role.
template <class BlockParams>
struct ModelParams {
  EmbeddingParams emb;
  std::vector<BlockParams> blocks;
  TinyAttentionParams tiny;  // of the block that it ends
  HeadParams head;
};

// Adds the parameters of one block. Unit 0 is the embedding, so block l is unit l + 1.
struct BlockAdder {
  ParamAdder self, att, ffn, ffn_pre, of_emb;  // of_emb: what has a block's name and belongs to the embedding
  BlockAdder(ParamTable& table, int64_t l);
};
struct BlockNorms {
  NormParams ln1, ln2;
};

Param* add_embedding(ParamTable& table, const ModelSpec& spec);
HeadParams add_head(ParamTable& table, const ModelSpec& spec, MatrixInit matrix);

// Adds all parameters to `table` in the order of upstream's files; add_block(const BlockAdder&, const BlockNorms&, l) adds a block's mixes.
template <class BlockParams, class AddBlock>
ModelParams<BlockParams> add_model_params(ParamTable& table, const ModelSpec& spec, MatrixInit matrix, const AddBlock& add_block) {
  ModelParams<BlockParams> params;
  params.emb.table = add_embedding(table, spec);
  for (int64_t l = 0; l < spec.n_layer; ++l) {
    const BlockAdder block(table, l);
    if (l == 0) add_positions(params.emb, block.of_emb, spec);
    const NormParams ln1 = block.self.add_norm("ln1", spec.n_embd), ln2 = block.self.add_norm("ln2", spec.n_embd);
    if (l == 0) params.emb.ln0 = block.of_emb.add_norm("ln0", spec.n_embd);
    params.blocks.push_back(add_block(block, BlockNorms{ln1, ln2}, l));
    if (has_tiny_attention(spec, l)) params.tiny = add_tiny_attention(block.self, spec, matrix);
  }
  params.head = add_head(table, spec, matrix);
  return params;
}

// Its sizes are those of the spec; it has no parameters and no units yet.
std::unique_ptr<Model> empty_model(const char* family, const ModelSpec& spec);

// Embedding, a unit for every one of params.blocks, head; make_block(l, block's parameters, tiny) makes a block, which a small attention
// ends where there is one.
template <class BlockParams, class MakeBlock>
void add_units(Model& model, const ModelSpec& spec, const ModelParams<BlockParams>& params, const MakeBlock& make_block) {
  model.units.push_back(std::make_unique<Embedding>(params.emb, spec));
  for (int64_t l = 0; l < spec.n_layer; ++l) {
    std::optional<TinyAttention> tiny;
    if (has_tiny_attention(spec, l)) tiny.emplace(params.tiny, spec);
    model.units.push_back(make_block(l, params.blocks[static_cast<size_t>(l)], std::move(tiny)));
  }
  model.units.push_back(std::make_unique<Head>(params.head, spec));
}

}  // namespace rk
