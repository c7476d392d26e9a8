// Initial values of RWKV-4, as its trainer's code sets them.
#include <cmath>

#include "model/rwkv4/params.h"

namespace rk::rwkv4 {

double LayerInit::from_first() const { return L > 1 ? static_cast<double>(l) / static_cast<double>(L - 1) : 0; }

InitRule LayerInit::mix(double power, double more) const {
  return formula_init([power, more, n = static_cast<double>(C)](int64_t i) { return std::pow(static_cast<double>(i) / n, power) + more; });
}

InitRule LayerInit::time_decay() const {
  const double power = 0.7 + 1.3 * from_first();
  return formula_init(
      [power, last = static_cast<double>(A - 1)](int64_t i) { return -5 + 8 * std::pow(static_cast<double>(i) / last, power); });
}

InitRule LayerInit::time_first() const {
  return formula_init([](int64_t i) { return std::log(0.3) + 0.5 * static_cast<double>((i + 1) % 3 - 1); });
}

}  // namespace rk::rwkv4
