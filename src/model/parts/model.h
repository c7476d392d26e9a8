// What models of all families have: sizes, embedding, numbered blocks, head.
#pragma once
#include "model/families.h"
#include "model/parts/embedding.h"
#include "model/parts/head.h"

namespace rk {

// Its sizes are those of the spec; it has no parameters and no units yet.
std::unique_ptr<Model> empty_model(const char* family, const ModelSpec& spec);

Param* add_embedding(ParamTable& table, const ModelSpec& spec);
HeadParams add_head(ParamTable& table, const ModelSpec& spec);

// Adds the parameters of one block. Unit 0 is the embedding, so block l is unit l + 1.
struct BlockAdder {
  ParamAdder self, att, ffn;
  BlockAdder(ParamTable& table, int64_t l);
  // The norm in front of block 0, which belongs to the embedding.
  NormParams add_ln0(int64_t C) const;

 private:
  ParamTable& table_;
};

// Embedding, a unit for every one of params.blocks, head.
template <class Params, class MakeBlock>
void add_units(Model& model, const ModelSpec& spec, const Params& params, const MakeBlock& make_block) {
  model.units.push_back(std::make_unique<Embedding>(params.emb, spec));
  for (size_t l = 0; l < params.blocks.size(); ++l) model.units.push_back(make_block(static_cast<int64_t>(l), params.blocks[l]));
  model.units.push_back(std::make_unique<Head>(params.head, spec));
}

}  // namespace rk
