#include "model/parts/groups.h"

#include <algorithm>

namespace rk {
namespace {

bool has(const Param& p, const char* part) { return p.name.find(part) != std::string::npos; }

// More than one number along at least two dimensions.
bool is_wide(const Param& p) {
  return std::count_if(p.shape.size.begin(), p.shape.size.begin() + p.shape.rank, [](int64_t n) { return n > 1; }) >= 2;
}

}  // namespace

void set_groups(ParamTable& params, const GroupRules& rules) {
  for (Param& p : params.all()) {
    p.lr_scale = 1;
    if (rules.layerwise_lr && has(p, "att.w0")) p.lr_scale = 2;
    p.decay = p.lr_scale == 1 && rules.weight_decay && is_wide(p) && has(p, ".weight");
  }
}

}  // namespace rk
