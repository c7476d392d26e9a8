#include "model/parts/old_parts.h"

namespace rk {
namespace {

// The block that a small attention ends; -1: none.
int64_t tiny_layer(const FileShapes& file, int64_t n_layer) {
  int64_t found = -1;
  for (int64_t l = 0; l < n_layer; ++l) {
    if (!file.has(cat("blocks.", l, ".tiny_q.weight"))) continue;
    if (found >= 0)
      fail(cat(file.path(), ": tensors blocks.", found, ".tiny_q.weight and blocks.", l, ".tiny_q.weight: one block may have a tiny_att"));
    found = l;
  }
  return found;
}

// 1 where a causal mask says that row t looks at column s.
DerivedTensor causal_mask(const std::string& name, const std::string& before, int64_t n) {
  return {.name = name, .shape = {n, n}, .before = before, .formula = [n](int64_t i) { return i % n <= i / n ? 1.0 : 0.0; }};
}

void need_non_negative(int64_t value, const char* flag) {
  if (value < 0) fail(cat("--", flag, " ", value, " is negative; give a positive number or leave it out"));
}

}  // namespace

OldParts old_parts_of(const OldParts& given, const FileShapes& file, int64_t n_layer) {
  OldParts parts;
  parts.ctx_len = given.ctx_len;
  const auto mask = [&](const std::string& name) {
    if (parts.ctx_len == 0 && file.has(name)) parts.ctx_len = file.matrix(name)[0];
  };
  // Options that ask for a part which the file has not would be without effect.
  const auto settled = [&](const char* flag, int64_t given_value, const std::string& tensor, int64_t value) {
    return settle({flag, given_value, value, tensor}, file.path());
  };
  const auto absent = [&](const char* flag, bool asked, const std::string& tensor) {
    if (asked)
      fail(cat(file.path(), ": has no tensor ", tensor, ", but --", flag, " was given; leave it out, or give a file that has such a part"));
  };
  if (file.has("head_q.weight")) {
    parts.head_qk = settled("head_qk", given.head_qk, "head_q.weight", file.matrix("head_q.weight")[0]);
    mask("copy_mask");
  } else {
    absent("head_qk", given.head_qk > 0, "head_q.weight");
  }
  if (const int64_t l = tiny_layer(file, n_layer); l >= 0) {
    const std::string q = cat("blocks.", l, ".tiny_q.weight");
    parts.tiny_att_dim = settled("tiny_att_dim", given.tiny_att_dim, q, file.matrix(q)[0]);
    parts.tiny_att_layer = l;
    if (given.tiny_att_dim > 0 && given.tiny_att_layer != l)
      fail(cat(file.path(), ": tensor ", q, " says tiny_att_layer = ", l, ", but --tiny_att_layer ", given.tiny_att_layer,
               " was given; give ", l));
    mask(cat("blocks.", l, ".tiny_mask"));
  } else {
    absent("tiny_att_dim", given.tiny_att_dim > 0, "blocks.*.tiny_q.weight");
  }
  if (file.has("blocks.0.pos_emb_x")) {
    parts.pos_emb = settled("my_pos_emb", given.pos_emb, "blocks.0.pos_emb_x", file.shape("blocks.0.pos_emb_x", 3)[1]);
  } else {
    absent("my_pos_emb", given.pos_emb > 0, "blocks.0.pos_emb_x");
  }
  parts.pre_ffn = file.has("blocks.0.ffnPre.key.weight");
  absent("pre_ffn", given.pre_ffn && !parts.pre_ffn, "blocks.0.ffnPre.key.weight");
  return parts;
}

void check_old_parts(const ModelSpec& spec) {
  const OldParts& o = spec.old;
  need_non_negative(o.head_qk, "head_qk");
  need_non_negative(o.tiny_att_dim, "tiny_att_dim");
  need_non_negative(o.pos_emb, "my_pos_emb");
  if (o.tiny_att_dim > 0 && (o.tiny_att_layer < 0 || o.tiny_att_layer >= spec.n_layer))
    fail(cat("--tiny_att_layer ", o.tiny_att_layer, " is no block of a model of ", spec.n_layer, " layers; give 0 to ", spec.n_layer - 1));
  if (o.pos_emb == 1) fail("--my_pos_emb 1 is a model for samples of 0 tokens; give P for samples of P^2 - 1");
}

void refuse_old_parts(const OldParts& parts, const char* family) {
  const std::pair<const char*, bool> all[] = {{"head_qk", parts.head_qk != 0},
                                              {"tiny_att_dim", parts.tiny_att_dim != 0},
                                              {"my_pos_emb", parts.pos_emb != 0},
                                              {"pre_ffn", parts.pre_ffn}};
  for (const auto& [flag, asked] : all)
    if (asked) fail(cat("--", flag, ": ", family, " has no such part; leave it out"));
}

std::string why_no_segments(const ModelSpec& spec) {
  const bool copies = spec.old.head_qk > 0, attends = spec.old.tiny_att_dim > 0;
  if (copies || attends)
    return cat("the model's ",
               copies && attends ? "head_qk and tiny_att look"
               : copies          ? "head_qk looks"
                                 : "tiny_att looks",
               " at all earlier tokens of a sample, which no state holds");
  return spec.old.pos_emb > 0 ? "the model's positions (my_pos_emb) count from the beginning of a sample" : "";
}

int64_t only_length(const ModelSpec& spec) { return spec.old.pos_emb > 0 ? spec.old.pos_emb * spec.old.pos_emb - 1 : 0; }

void set_old_parts(Model& model, const ModelSpec& spec) {
  const OldParts& o = spec.old;
  model.why_no_segments = why_no_segments(spec);
  model.only_length = only_length(spec);
  model.shares = o.tiny_att_dim > 0;
  if (o.ctx_len == 0) return;
  if (o.head_qk > 0) model.derived.push_back(causal_mask("copy_mask", "emb.weight", o.ctx_len));
  if (o.tiny_att_dim > 0) {
    const std::string block = cat("blocks.", o.tiny_att_layer, ".");
    model.derived.push_back(causal_mask(block + "tiny_mask", block + "ln1.weight", o.ctx_len));
  }
}

bool has_tiny_attention(const ModelSpec& spec, int64_t layer) { return spec.old.tiny_att_dim > 0 && spec.old.tiny_att_layer == layer; }

TinyAttentionParams add_tiny_attention(const ParamAdder& block, const ModelSpec& spec, MatrixInit matrix) {
  const int64_t C = spec.n_embd, width = spec.old.tiny_att_dim;
  TinyAttentionParams p;
  p.ln = block.add_norm("tiny_ln", C);
  p.q = block.add("tiny_q.weight", {width, C}, matrix(1, width, C));
  p.k = block.add("tiny_k.weight", {width, C}, matrix(1, width, C));
  p.v = block.add("tiny_v.weight", {C, C}, matrix(1, C, C));
  return p;
}

void add_positions(EmbeddingParams& emb, const ParamAdder& block0, const ModelSpec& spec) {
  const int64_t P = spec.old.pos_emb, C = spec.n_embd;
  if (P == 0) return;
  emb.pos_x = block0.add("pos_emb_x", {1, P, C}, constant_init(0));
  emb.pos_y = block0.add("pos_emb_y", {P, 1, C}, constant_init(0));
}

void add_copying(HeadParams& head, const ParamAdder& adder, const ModelSpec& spec, MatrixInit matrix) {
  const int64_t C = spec.n_embd, Q = spec.old.head_qk;
  if (Q == 0) return;
  head.q = adder.add("head_q.weight", {Q, C}, constant_init(0));
  head.k = adder.add("head_k.weight", {Q, C}, matrix(0.1, Q, C));
}

}  // namespace rk
