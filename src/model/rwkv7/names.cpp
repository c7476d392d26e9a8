// Names, shapes and optimizer groups of RWKV-7's tensors.
#include "model/rwkv7/params.h"

namespace rk::rwkv7 {
namespace {

void add_value_mix(TimeMixParams& p, const ParamAdder& att, const ModelSpec& s, const LayerInit& init) {
  if (init.l == 0 && !s.layer0_v) return;
  const int64_t C = s.n_embd;
  p.v1 = att.add("v1", {C, s.mv_lora}, constant_init(0));
  p.v2 = att.add("v2", {s.mv_lora, C}, scaled_orthogonal_init(0.1, s.mv_lora, C));
  p.v0 = att.add("v0", {1, 1, C}, init.v0());
  for (Param* v : {p.v0, p.v1, p.v2}) v->used = init.l > 0;
}

void add_time_mix(TimeMixParams& p, const ParamAdder& att, const ModelSpec& s, const LayerInit& init) {
  const int64_t C = s.n_embd, N = s.head_size;
  const Shape vector{1, 1, C};
  const auto narrow = [&](const char* name, int64_t width) { return att.add(name, {C, width}, constant_init(0)); };
  const auto widen = [&](const char* name, int64_t width) { return att.add(name, {width, C}, scaled_orthogonal_init(0.1, width, C)); };
  p.x_r = att.add("x_r", vector, init.x_rg());
  p.x_w = att.add("x_w", vector, init.x_wa());
  p.x_k = att.add("x_k", vector, init.x_kv());
  p.x_v = att.add("x_v", vector, init.x_kv());
  p.x_a = att.add("x_a", vector, init.x_wa());
  p.x_g = att.add("x_g", vector, init.x_rg());
  p.w1 = narrow("w1", s.decay_lora);
  p.w2 = widen("w2", s.decay_lora);
  p.w0 = att.add("w0", vector, init.w0());
  p.a1 = narrow("a1", s.aaa_lora);
  p.a2 = widen("a2", s.aaa_lora);
  p.a0 = att.add("a0", vector, init.a0());
  add_value_mix(p, att, s, init);
  p.g1 = narrow("g1", s.gate_lora);
  p.g2 = widen("g2", s.gate_lora);
  p.k_k = att.add("k_k", vector, init.k_k());
  p.k_a = att.add("k_a", vector, constant_init(1.02));
  p.r_k = att.add("r_k", {C / N, N}, constant_init(-0.04));
  p.time_state = s.time_state ? att.add("time_state", {C / N, N, N}, constant_init(0)) : nullptr;
  p.receptance = att.add("receptance.weight", {C, C}, orthogonal_init(1));
  p.key = att.add("key.weight", {C, C}, orthogonal_init(0.1));
  p.value = att.add("value.weight", {C, C}, orthogonal_init(1));
  p.output = att.add("output.weight", {C, C}, constant_init(0));
  p.ln_x = att.add_norm("ln_x", C, init.ln_x_weight());
}

}  // namespace

Params add_params(ParamTable& table, const ModelSpec& s) {
  return add_model_params<BlockParams>(table, s, scaled_orthogonal_init, [&](const BlockAdder& block, const BlockNorms& norms, int64_t l) {
    const int64_t C = s.n_embd, F = s.dim_ffn;
    const LayerInit init{{l, s.n_layer, C}, s.head_size};
    BlockParams p;
    p.att.ln1 = norms.ln1;
    p.ffn.ln2 = norms.ln2;
    add_time_mix(p.att, block.att, s, init);
    p.ffn.x_k = block.ffn.add("x_k", {1, 1, C}, init.ffn_x_k());
    p.ffn.key = block.ffn.add("key.weight", {F, C}, orthogonal_init(1));
    p.ffn.value = block.ffn.add("value.weight", {C, F}, constant_init(0));
    return p;
  });
}

}  // namespace rk::rwkv7
