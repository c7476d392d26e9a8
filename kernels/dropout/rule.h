// Which numbers are dropped and what the others are multiplied with, the same on every device.
#pragma once
#include <algorithm>
#include <cmath>

#include "base/philox.h"
#include "kernels/dropout/op.h"

namespace rk {

inline constexpr int kDropoutColumns = 4;      // that one Philox block serves
inline constexpr int kDropoutColumnBits = 16;  // of a counter: the place of four columns in their row; the rest is the row
inline constexpr int64_t kDropoutMaxColumns = int64_t{kDropoutColumns} << kDropoutColumnBits;
inline constexpr int64_t kDropoutMaxRows = int64_t{1} << (64 - kDropoutColumnBits);

struct DropoutRule {
  uint64_t seed, stream;
  uint32_t dropped;  // how many of the 2^32 words drop a number: p to within 2^-33
  double scale;      // 1 / (1 - p)

  explicit DropoutRule(const Dropout& a)
      : seed(a.seed),
        stream(a.stream),
        dropped(static_cast<uint32_t>(std::min(std::round(a.p * 0x1p32), 0x1p32 - 1))),
        scale(1 / (1 - a.p)) {}

  // The words of columns 4 * four .. 4 * four + 3 of a row.
  ROOKERY_ANY_DEVICE void words(int64_t row, int64_t four, uint32_t (&w)[4]) const {
    w[0] = static_cast<uint32_t>(row << kDropoutColumnBits | four);
    w[1] = static_cast<uint32_t>(row >> (32 - kDropoutColumnBits));
    w[2] = static_cast<uint32_t>(stream);
    w[3] = static_cast<uint32_t>(stream >> 32);
    philox_rounds(seed, w);
  }
  // The factor of a number: zero makes no number of what is not finite.
  template <class A>
  ROOKERY_ANY_DEVICE A factor(uint32_t word) const {
    return word < dropped ? A(0) : static_cast<A>(scale);
  }
};

}  // namespace rk
