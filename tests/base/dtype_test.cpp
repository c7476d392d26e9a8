#include "base/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace rk {
namespace {

f16 half(int bits) { return {static_cast<uint16_t>(bits)}; }
int bits_of(float x) { return to_f16(x).bits; }

constexpr int kInfinity = 0x7c00;

// By the definition of the format.
double value_of(int bits) {
  const int exponent = bits >> 10 & 31, mantissa = bits & 1023;
  const double magnitude = exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24);
  return bits & 0x8000 ? -magnitude : magnitude;
}

TEST(Half, EveryNumberIsReadAndWritten) {
  for (int bits = 0; bits < 0x10000; ++bits) {
    const float x = to_float(half(bits));
    if ((bits & kInfinity) != kInfinity) {
      ASSERT_EQ(static_cast<double>(x), value_of(bits)) << bits;
      ASSERT_EQ(std::signbit(x), bits >= 0x8000) << bits;
      ASSERT_EQ(bits_of(x), bits);
    } else if ((bits & 1023) == 0) {
      ASSERT_EQ(x, bits & 0x8000 ? -INFINITY : INFINITY);
      ASSERT_EQ(bits_of(x), bits);
    } else {
      ASSERT_TRUE(std::isnan(x));
      ASSERT_EQ(bits_of(x), (bits & 0x8000) | 0x7e00);
    }
  }
}

TEST(Half, RoundsToTheNearestAndTiesToEven) {
  for (int low = 0; low < kInfinity; ++low) {
    // Behind the last number stands what would be the next.
    const double next = low + 1 < kInfinity ? value_of(low + 1) : 65536;
    const auto middle = static_cast<float>((value_of(low) + next) / 2);
    ASSERT_EQ(bits_of(middle), low + (low & 1)) << low;
    ASSERT_EQ(bits_of(std::nextafter(middle, 0.0f)), low);
    ASSERT_EQ(bits_of(std::nextafter(middle, INFINITY)), low + 1);
    ASSERT_EQ(bits_of(-middle), 0x8000 | (low + (low & 1)));
  }
  EXPECT_EQ(bits_of(std::numeric_limits<float>::max()), kInfinity);
  EXPECT_EQ(bits_of(std::numeric_limits<float>::denorm_min()), 0);
}

}  // namespace
}  // namespace rk
