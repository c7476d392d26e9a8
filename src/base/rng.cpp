#include "base/rng.h"

#include <cmath>
#include <numbers>

#include "base/philox.h"

namespace rk {

std::array<uint32_t, 4> philox(uint64_t key, uint64_t counter_high, uint64_t counter_low) {
  uint32_t c[4] = {static_cast<uint32_t>(counter_low), static_cast<uint32_t>(counter_low >> 32), static_cast<uint32_t>(counter_high),
                   static_cast<uint32_t>(counter_high >> 32)};
  philox_rounds(key, c);
  return {c[0], c[1], c[2], c[3]};
}

static double to_unit(uint32_t high, uint32_t low) {
  return static_cast<double>(((static_cast<uint64_t>(high) << 32) | low) >> 11) * 0x1p-53;
}

double Random::uniform(uint64_t i) const {
  const auto bits = philox(seed_, stream_, i);
  return to_unit(bits[0], bits[1]);
}

double Random::normal(uint64_t i) const {
  const auto bits = philox(seed_, stream_, i);
  const double u = 1.0 - to_unit(bits[0], bits[1]);  // (0, 1]: its logarithm is finite
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * to_unit(bits[2], bits[3]));
}

uint64_t stream_of(const char* text) {
  uint64_t h = 0xcbf29ce484222325ull;  // FNV-1a
  for (; *text; ++text) h = (h ^ static_cast<unsigned char>(*text)) * 0x100000001b3ull;
  return h;
}

}  // namespace rk
