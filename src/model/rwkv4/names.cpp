// Names, shapes and initial values of RWKV-4's tensors (golden rwkv456 §5, §7).
#include <cmath>

#include "model/parts/layer_init.h"
#include "model/rwkv4/params.h"

namespace rk::rwkv4 {
namespace {

InitRule decay_init(const LayerInit& init, int64_t A) {
  const double power = 0.7 + 1.3 * init.from_first(), last = static_cast<double>(A - 1);
  return formula_init([power, last](int64_t i) { return -5 + 8 * std::pow(static_cast<double>(i) / last, power); });
}

InitRule first_init() {
  return formula_init([](int64_t i) { return std::log(0.3) + 0.5 * static_cast<double>((i + 1) % 3 - 1); });
}

TimeMixParams add_time_mix(const ParamAdder& att, NormParams ln1, const ModelSpec& s, const LayerInit& init) {
  const int64_t C = s.n_embd, A = s.dim_att;
  const double p = init.to_last();
  const auto zero = [&](const char* name, int64_t rows, int64_t cols) { return att.add(name, {rows, cols}, constant_init(0)); };
  TimeMixParams t;
  t.ln1 = ln1;
  t.decay = att.add("time_decay", {A}, decay_init(init, A));
  t.first = att.add("time_first", {A}, first_init());
  t.mix_k = att.add("time_mix_k", {1, 1, C}, init.of_self(p));
  t.mix_v = att.add("time_mix_v", {1, 1, C}, init.of_self(p, 0.3 * init.from_first()));
  t.mix_r = att.add("time_mix_r", {1, 1, C}, init.of_self(0.5 * p));
  t.key = zero("key.weight", A, C);
  t.value = att.add("value.weight", {A, C}, scaled_orthogonal_init(1, A, C));
  t.receptance = zero("receptance.weight", A, C);
  t.output = zero("output.weight", C, A);
  return t;
}

}  // namespace

bool begins_with_channel_mix(const ModelSpec& spec, int64_t layer) { return spec.old.pre_ffn && layer == 0; }

Params add_params(ParamTable& table, const ModelSpec& s) {
  return add_model_params<BlockParams>(table, s, scaled_orthogonal_init, [&](const BlockAdder& block, const BlockNorms& norms, int64_t l) {
    const LayerInit init{l, s.n_layer, s.n_embd};
    const GatedChannelMixInit ffn{"time_mix_", init.of_self(init.to_last()), scaled_orthogonal_init(1, s.dim_ffn, s.n_embd)};
    BlockParams p{};
    if (begins_with_channel_mix(s, l)) {
      p.ffn_pre = add_gated_channel_mix(block.ffn_pre, norms.ln1, s, ffn);
    } else {
      p.att = add_time_mix(block.att, norms.ln1, s, init);
    }
    p.ffn = add_gated_channel_mix(block.ffn, norms.ln2, s, ffn);
    return p;
  });
}

}  // namespace rk::rwkv4
