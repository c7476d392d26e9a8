// Element conversion: one rounding, nothing lost silently.
#include "io/convert.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace rk {
namespace {

template <class T>
T converted(DType from, const void* x, DType to) {
  T y{};
  EXPECT_EQ(convert_elements(from, x, to, &y, 1), 1);
  return y;
}

TEST(Convert, DoublesRoundOnceToNarrowFloats) {
  // Just above the middle of two neighbours: through float it would become the middle, and go to the even one below.
  const double above = 1.0 + 0x1p-8 + 0x1p-40, below = 1.0 + 0x1p-8 - 0x1p-40, middle = 1.0 + 0x1p-8;
  EXPECT_EQ(static_cast<float>(converted<bf16>(DType::f64, &above, DType::bf16)), 1.0f + 0x1p-7f);
  EXPECT_EQ(static_cast<float>(converted<bf16>(DType::f64, &below, DType::bf16)), 1.0f);
  EXPECT_EQ(static_cast<float>(converted<bf16>(DType::f64, &middle, DType::bf16)), 1.0f);
  const double half_above = 1.0 + 0x1p-11 + 0x1p-40;
  EXPECT_EQ(to_float(converted<f16>(DType::f64, &half_above, DType::f16)), 1.0f + 0x1p-10f);
  const double negative = -above;
  EXPECT_EQ(static_cast<float>(converted<bf16>(DType::f64, &negative, DType::bf16)), -(1.0f + 0x1p-7f));
}

TEST(Convert, SpecialFloatsStay) {
  for (double x : {std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(), 0.0, -0.0, 1e300}) {
    const auto y = static_cast<float>(converted<bf16>(DType::f64, &x, DType::bf16));
    EXPECT_EQ(y, std::fabs(x) > 1e299 ? std::copysign(INFINITY, static_cast<float>(x)) : static_cast<float>(x));
    EXPECT_EQ(std::signbit(y), std::signbit(x));
  }
  const double nan = std::nan("");
  EXPECT_TRUE(std::isnan(static_cast<float>(converted<bf16>(DType::f64, &nan, DType::bf16))));
  EXPECT_TRUE(std::isnan(to_float(converted<f16>(DType::f64, &nan, DType::f16))));
}

TEST(Convert, IntegersThatDoNotFitStop) {
  const std::vector<int64_t> x = {1, -1, 255, 256, 7};
  std::vector<uint8_t> y(x.size());
  EXPECT_EQ(convert_elements(DType::i64, x.data(), DType::u8, y.data(), 5), 1);
  EXPECT_EQ(convert_elements(DType::i64, x.data() + 2, DType::u8, y.data(), 3), 1);
  const std::vector<double> d = {3, 3.5, 1e300, std::nan("")};
  std::vector<int32_t> i(d.size());
  EXPECT_EQ(convert_elements(DType::f64, d.data(), DType::i32, i.data(), 4), 1);
  EXPECT_EQ(convert_elements(DType::f64, d.data() + 2, DType::i32, i.data(), 1), 0);
  EXPECT_EQ(convert_elements(DType::f64, d.data() + 3, DType::i32, i.data(), 1), 0);
  EXPECT_EQ(i[0], 3);
}

TEST(Convert, EveryBfloat16AndHalfThereAndBack) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const auto b = static_cast<uint16_t>(bits);
    for (DType t : {DType::bf16, DType::f16}) {
      const auto wide = converted<double>(t, &b, DType::f64);
      const auto back = converted<uint16_t>(DType::f64, &wide, t);
      if (!std::isnan(wide)) {
        ASSERT_EQ(back, b) << name_of(t);
      }
    }
  }
}

TEST(Convert, Booleans) {
  const uint8_t two = 2;
  EXPECT_EQ(converted<float>(DType::boolean, &two, DType::f32), 1.f);
  const float x = 0.5f;
  EXPECT_EQ(converted<uint8_t>(DType::f32, &x, DType::boolean), 1);
}

}  // namespace
}  // namespace rk
