#include "model/parts/layer_init.h"

#include <cmath>

namespace rk {

// Channel i of C on [0, 1], ends included.
static double ramp(int64_t i, int64_t C) { return static_cast<double>(i) / static_cast<double>(C - 1); }

double LayerInit::from_first() const { return L > 1 ? static_cast<double>(l) / static_cast<double>(L - 1) : 0; }
double LayerInit::to_last() const { return 1 - static_cast<double>(l) / static_cast<double>(L); }

InitRule LayerInit::of_self(double power, double more) const {
  return formula_init([power, more, n = static_cast<double>(C)](int64_t i) { return std::pow(static_cast<double>(i) / n, power) + more; });
}

InitRule LayerInit::of_previous(double power, double more) const {
  return formula_init(
      [power, more, n = static_cast<double>(C)](int64_t i) { return 1 - (std::pow(static_cast<double>(i) / n, power) + more); });
}

InitRule LayerInit::decay() const {
  return formula_init([power = 0.7 + 1.3 * from_first(), n = C](int64_t i) { return -6 + 5 * std::pow(ramp(i, n), power); });
}

InitRule LayerInit::bonus() const {
  return formula_init(
      [slope = from_first(), n = C](int64_t i) { return slope * (1 - ramp(i, n)) + 0.1 * static_cast<double>((i + 1) % 3 - 1); });
}

InitRule LayerInit::ln_x_weight() const { return constant_init(std::pow(static_cast<double>(1 + l) / static_cast<double>(L), 0.7)); }

}  // namespace rk
