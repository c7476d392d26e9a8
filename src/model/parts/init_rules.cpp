#include "model/parts/init_rules.h"

#include <cmath>
#include <utility>

namespace rk {

static InitRule simple(InitKind kind, double value) {
  InitRule rule;
  rule.kind = kind;
  rule.value = value;
  return rule;
}

InitRule constant_init(double value) { return simple(InitKind::constant, value); }
InitRule uniform_init(double half_width) { return simple(InitKind::uniform, half_width); }
InitRule orthogonal_init(double gain) { return simple(InitKind::orthogonal, gain); }
InitRule scaled_orthogonal_init(double gain, int64_t rows, int64_t cols) {
  return orthogonal_init(rows > cols ? gain * std::sqrt(static_cast<double>(rows) / static_cast<double>(cols)) : gain);
}
InitRule unscaled_orthogonal_init(double gain, int64_t /*rows*/, int64_t /*cols*/) { return orthogonal_init(gain); }
InitRule formula_init(std::function<double(int64_t)> formula) {
  InitRule rule;
  rule.kind = InitKind::formula;
  rule.formula = std::move(formula);
  return rule;
}

}  // namespace rk
