// Initial values of RWKV-7, as upstream's code sets them (its README lists older ones).
#include <cmath>

#include "model/rwkv7/params.h"

namespace rk::rwkv7 {
namespace {

// Channel i of C on [0, 1], ends included.
double ramp(int64_t i, int64_t C) { return static_cast<double>(i) / static_cast<double>(C - 1); }

// A signed square over the channels of a head, from -1 to 1.
double zigzag(int64_t i, int64_t N) {
  const double centre = static_cast<double>(N - 1) / 2, z = (static_cast<double>(i % N) - centre) / centre;
  return z * std::abs(z);
}

}  // namespace

InitRule LayerInit::ffn_x_k() const { return of_previous(std::pow(to_last(), 4)); }

InitRule LayerInit::w0() const {
  const double power = 1 + std::pow(from_first(), 0.3);
  return formula_init([power, c = C, n = N](int64_t i) { return -5.5 + 6 * std::pow(ramp(i, c), power) + 2.5 * zigzag(i, n); });
}

InitRule LayerInit::a0() const {
  return formula_init([c = C, n = N](int64_t i) { return -0.19 + 0.3 * zigzag(i, n) + 0.4 * (ramp(i, c) - 0.5); });
}

InitRule LayerInit::v0() const {
  return formula_init([c = C](int64_t i) { return 0.73 - 0.4 * (ramp(i, c) - 0.5); });
}

InitRule LayerInit::k_k() const {
  return formula_init([c = C](int64_t i) { return 0.71 - 0.1 * (ramp(i, c) - 0.5); });
}

}  // namespace rk::rwkv7
