#include "model/parts/model.h"

namespace rk {

std::unique_ptr<Model> empty_model(const char* family, const ModelSpec& spec) {
  auto model = std::make_unique<Model>();
  model->family = family;
  model->dtype = spec.dtype;
  model->n_layer = spec.n_layer;
  model->n_embd = spec.n_embd;
  model->n_vocab = spec.vocab_size;
  model->head_size = spec.head_size;
  set_old_parts(*model, spec);
  return model;
}

Param* add_embedding(ParamTable& table, const ModelSpec& spec) {
  const double half_width = spec.emb_init > 0 ? spec.emb_init : 1e-4;
  return ParamAdder(table, 0, "").add("emb.weight", {spec.vocab_size, spec.n_embd}, uniform_init(half_width));
}

HeadParams add_head(ParamTable& table, const ModelSpec& spec, MatrixInit matrix) {
  const ParamAdder head(table, static_cast<int>(spec.n_layer) + 1, "");
  const int64_t V = spec.vocab_size, C = spec.n_embd;
  HeadParams p;
  p.ln_out = head.add_norm("ln_out", C);
  p.weight = head.add("head.weight", {V, C}, scaled_orthogonal_init(0.5, V, C));
  add_copying(p, head, spec, matrix);
  return p;
}

static ParamAdder adder(ParamTable& table, int64_t l, const char* part) {
  return {table, static_cast<int>(l) + 1, cat("blocks.", l, ".", part)};
}

BlockAdder::BlockAdder(ParamTable& table, int64_t l)
    : self(adder(table, l, "")),
      att(adder(table, l, "att.")),
      ffn(adder(table, l, "ffn.")),
      ffn_pre(adder(table, l, "ffnPre.")),
      of_emb(table, 0, cat("blocks.", l, ".")) {}

}  // namespace rk
