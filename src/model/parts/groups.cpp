#include "model/parts/groups.h"

#include <algorithm>
#include <optional>

namespace rk {
namespace {

bool has(const Param& p, const char* part) { return p.name.find(part) != std::string::npos; }

// More than one number along at least two dimensions.
bool is_wide(const Param& p) {
  return std::count_if(p.shape.size.begin(), p.shape.size.begin() + p.shape.rank, [](int64_t n) { return n > 1; }) >= 2;
}

struct Group {
  double lr_scale = 1;
  bool decay = false;
};

// The rules that both trainers have: mixes of tokens, decays, bonuses; none for other names.
std::optional<Group> group_of_kind(const Param& p, bool second_stage) {
  if (has(p, "time_mix") || has(p, "time_maa") || has(p, "time_faaaa")) return Group{second_stage ? 5.0 : 1.0};
  if (has(p, "time_decay") || has(p, "time_daaaa")) return Group{second_stage ? 5.0 : 2.0};
  if (has(p, "time_first")) return Group{second_stage ? 5.0 : 3.0};
  return std::nullopt;
}

Group group_of(const Param& p, const GroupRules& rules) {
  const Group by_shape{1, rules.weight_decay && is_wide(p) && has(p, ".weight")};
  if (rules.layerwise_lr && (has(p, "_w1") || has(p, "_w2"))) return {};
  if (has(p, "time_sta") && rules.weight_decay) return {1, true};
  if (!rules.layerwise_lr) return by_shape;
  if (has(p, "att.w0")) return {rules.second_stage ? 5.0 : 2.0};
  return group_of_kind(p, rules.second_stage).value_or(by_shape);
}

Group group_of_v4neo(const Param& p, const GroupRules& rules) {
  const Group by_shape{1, rules.weight_decay && is_wide(p)};
  return rules.layerwise_lr ? group_of_kind(p, rules.second_stage).value_or(by_shape) : by_shape;
}

template <class Rule>
void set_groups_by(const Rule& rule, ParamTable& params, const GroupRules& rules) {
  for (Param& p : params.all()) {
    const Group g = rule(p, rules);
    p.lr_scale = g.lr_scale;
    p.decay = g.decay;
  }
}

}  // namespace

void set_groups(ParamTable& params, const GroupRules& rules) { set_groups_by(group_of, params, rules); }
void set_groups_v4neo(ParamTable& params, const GroupRules& rules) { set_groups_by(group_of_v4neo, params, rules); }

}  // namespace rk
