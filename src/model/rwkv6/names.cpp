// Names, shapes and initial values of RWKV-6's tensors (golden rwkv456 §5, §7; upstream's RWKV-v5/src/model.py for x060a and x060b).
#include <cmath>

#include "model/parts/layer_init.h"
#include "model/rwkv6/params.h"

namespace rk::rwkv6 {
namespace {

InitRule mix_init(Mix m, const LayerInit& init) {
  const double p = init.to_last();
  switch (m) {
    case kV: return init.of_previous(p, 0.3 * init.from_first());
    case kR:
    case kG: return init.of_previous(0.5 * p);
    default: return init.of_previous(p);
  }
}

DynamicMixParams add_mixes(const ParamAdder& att, NormParams ln1, const ModelSpec& s, const LayerInit& init) {
  static const std::array<const char*, kMixes> names{"w", "k", "v", "r", "g"};
  const Variant variant = variant_of(s.arch);
  const std::span<const Mix> mixes = mixes_of(variant);
  const auto n = static_cast<int64_t>(mixes.size());
  const std::string factors = variant == Variant::b ? "time_maa_rkvw_" : "time_maa_";
  DynamicMixParams p{};
  p.ln1 = ln1;
  p.maa_x = att.add("time_maa_x", {1, 1, s.n_embd}, mix_init(kW, init));
  for (Mix m : mixes) p.maa[m] = att.add(cat("time_maa_", names[m]), {1, 1, s.n_embd}, mix_init(m, init));
  p.w1 = att.add(factors + "w1", {s.n_embd, n * s.mix_lora}, constant_init(0));
  p.w2 = att.add(factors + "w2", {n, s.mix_lora, s.n_embd}, uniform_init(0.01));
  return p;
}

TimeMixParams add_time_mix(const ParamAdder& att, NormParams ln1, const ModelSpec& s, const LayerInit& init) {
  const int64_t C = s.n_embd, N = s.head_size, K = s.decay_lora;
  const Variant variant = variant_of(s.arch);
  TimeMixParams p{};
  p.mix = add_mixes(att, ln1, s, init);
  p.decay = att.add("time_decay", {1, 1, C}, init.decay());
  p.decay_w1 = att.add("time_decay_w1", {C, K}, constant_init(0));
  p.decay_w2 = att.add("time_decay_w2", {K, C}, uniform_init(0.01));
  p.wkv.bonus = att.add("time_faaaa", {C / N, N}, init.bonus());
  if (s.time_state) p.time_state = att.add("time_state", {C / N, N, N}, constant_init(0));
  if (variant == Variant::a) {
    p.gate_w1 = att.add("gate_w1", {C, s.gate_lora}, uniform_init(0.01));
    p.gate_w2 = att.add("gate_w2", {s.gate_lora, C}, uniform_init(0.01));
  }
  p.receptance = att.add("receptance.weight", {C, C}, orthogonal_init(1));
  p.key = att.add("key.weight", {C, C}, orthogonal_init(0.1));
  p.value = att.add("value.weight", {C, C}, orthogonal_init(1));
  p.wkv.output = att.add("output.weight", {C, C}, constant_init(0));
  if (variant == Variant::plain) p.gate = att.add("gate.weight", {C, C}, orthogonal_init(0.1));
  p.wkv.ln_x = att.add_norm("ln_x", C, init.ln_x_weight());
  return p;
}

}  // namespace

Params add_params(ParamTable& table, const ModelSpec& s) {
  return add_model_params<BlockParams>(
      table, s, unscaled_orthogonal_init, [&](const BlockAdder& block, const BlockNorms& norms, int64_t l) {
        const LayerInit init{l, s.n_layer, s.n_embd};
        const GatedChannelMixInit ffn{"time_maa_", init.of_previous(std::pow(init.to_last(), 3)), orthogonal_init(1)};
        return BlockParams{add_time_mix(block.att, norms.ln1, s, init), add_gated_channel_mix(block.ffn, norms.ln2, s, ffn)};
      });
}

}  // namespace rk::rwkv6
