// Names, shapes and initial values of RWKV-5.2's tensors (golden rwkv456 §5, §7).
#include "model/parts/layer_init.h"
#include "model/rwkv5/params.h"

namespace rk::rwkv5 {
namespace {

TimeMixParams add_time_mix(const ParamAdder& att, NormParams ln1, const ModelSpec& s, const LayerInit& init) {
  const int64_t C = s.n_embd, N = s.head_size;
  const double p = init.to_last();
  const auto mix = [&](const char* name, InitRule rule) { return att.add(name, {1, 1, C}, std::move(rule)); };
  TimeMixParams t{};
  t.ln1 = ln1;
  t.mix_k = mix("time_mix_k", init.of_self(p));
  t.mix_v = mix("time_mix_v", init.of_self(p, 0.3 * init.from_first()));
  t.mix_r = mix("time_mix_r", init.of_self(0.5 * p));
  t.mix_g = mix("time_mix_g", init.of_self(0.5 * p));
  t.decay = att.add("time_decay", {C / N, N}, init.decay());
  t.wkv.bonus = att.add("time_faaaa", {C / N, N}, init.bonus());
  if (s.time_state) t.time_state = att.add("time_state", {C / N, N, N}, constant_init(0));
  t.receptance = att.add("receptance.weight", {C, C}, orthogonal_init(1));
  t.key = att.add("key.weight", {C, C}, orthogonal_init(0.1));
  t.value = att.add("value.weight", {C, C}, orthogonal_init(1));
  t.wkv.output = att.add("output.weight", {C, C}, constant_init(0));
  t.gate = att.add("gate.weight", {C, C}, orthogonal_init(0.1));
  t.wkv.ln_x = att.add_norm("ln_x", C, init.ln_x_weight());
  return t;
}

}  // namespace

Params add_params(ParamTable& table, const ModelSpec& s) {
  return add_model_params<BlockParams>(
      table, s, unscaled_orthogonal_init, [&](const BlockAdder& block, const BlockNorms& norms, int64_t l) {
        const LayerInit init{l, s.n_layer, s.n_embd};
        const GatedChannelMixInit ffn{"time_mix_", init.of_self(init.to_last()), orthogonal_init(1)};
        return BlockParams{add_time_mix(block.att, norms.ln1, s, init), add_gated_channel_mix(block.ffn, norms.ln2, s, ffn)};
      });
}

}  // namespace rk::rwkv5
