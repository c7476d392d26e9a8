// The optimizer's groups, by names of tensors, as the old trainers form them (golden rwkv456 §7, rwkv7 §10).
#pragma once
#include "params/param_table.h"

namespace rk {

struct GroupRules {
  bool layerwise_lr = true;   // false: no tensor has a learning rate of its own
  bool second_stage = false;  // my_pile_stage 2: scales of 5 in place of 2 and 3
  bool weight_decay = true;   // whether there is any: tensors that would decay are in the group without, otherwise
};

// Sets lr_scale and decay of every parameter. v4neo: RWKV-v4neo's trainer, which knows no low-rank factors.
void set_groups(ParamTable& params, const GroupRules& rules);
void set_groups_v4neo(ParamTable& params, const GroupRules& rules);

}  // namespace rk
