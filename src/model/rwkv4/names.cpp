// Names, shapes and initial values of RWKV-4's tensors.
#include "model/rwkv4/params.h"

namespace rk::rwkv4 {
namespace {

TimeMixParams add_time_mix(const ParamAdder& att, NormParams ln1, const LayerInit& init) {
  const int64_t C = init.C, A = init.A;
  const auto zero = [&](const char* name, int64_t rows, int64_t cols) { return att.add(name, {rows, cols}, constant_init(0)); };
  TimeMixParams p;
  p.ln1 = ln1;
  p.time_decay = att.add("time_decay", {A}, init.time_decay());
  p.time_first = att.add("time_first", {A}, init.time_first());
  p.mix_k = att.add("time_mix_k", {1, 1, C}, init.mix_k());
  p.mix_v = att.add("time_mix_v", {1, 1, C}, init.mix_v());
  p.mix_r = att.add("time_mix_r", {1, 1, C}, init.mix_r());
  p.key = zero("key.weight", A, C);
  p.value = att.add("value.weight", {A, C}, scaled_orthogonal_init(1, A, C));
  p.receptance = zero("receptance.weight", A, C);
  p.output = zero("output.weight", C, A);
  return p;
}

}  // namespace

Params add_params(ParamTable& table, const ModelSpec& s) {
  const int64_t L = s.n_layer, C = s.n_embd, V = s.vocab_size;
  const ParamAdder emb(table, 0, ""), head(table, static_cast<int>(L) + 1, "");
  Params params;
  params.blocks.resize(static_cast<size_t>(L));
  params.emb.table = emb.add("emb.weight", {V, C}, uniform_init(s.emb_init > 0 ? s.emb_init : 6e-4));
  for (int64_t l = 0; l < L; ++l) {
    BlockParams& p = params.blocks[static_cast<size_t>(l)];
    const std::string prefix = cat("blocks.", l, ".");
    const int unit = static_cast<int>(l) + 1;
    const ParamAdder block(table, unit, prefix), of_emb(table, 0, prefix);
    const LayerInit init{l, L, C, s.dim_att};
    const GatedChannelMixInit ffn{"time_mix_", init.mix_k(), scaled_orthogonal_init(1, s.dim_ffn, C)};
    if (l == 0) add_positions(params.emb, of_emb, s);
    const NormParams ln1 = block.add_norm("ln1", C), ln2 = block.add_norm("ln2", C);
    if (l == 0) params.emb.ln0 = of_emb.add_norm("ln0", C);
    if (l == 0 && s.old.pre_ffn) {
      p.ffn_pre = add_gated_channel_mix(ParamAdder(table, unit, prefix + "ffnPre."), ln1, s, ffn);
    } else {
      p.att = add_time_mix(ParamAdder(table, unit, prefix + "att."), ln1, init);
    }
    p.ffn = add_gated_channel_mix(ParamAdder(table, unit, prefix + "ffn."), ln2, s, ffn);
    if (has_tiny_attention(s, l)) p.tiny = add_tiny_attention(block, s, scaled_orthogonal_init);
  }
  params.head.ln_out = head.add_norm("ln_out", C);
  params.head.weight = head.add("head.weight", {V, C}, scaled_orthogonal_init(0.5, V, C));
  add_copying(params.head, head, s, scaled_orthogonal_init);
  return params;
}

}  // namespace rk::rwkv4
