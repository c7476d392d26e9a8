#include "kernels/common/fast_math.h"

#include <gtest/gtest.h>

#include <functional>

namespace rk::cpu {
namespace {

// Largest distance from `exact` in units in the last place of float, over [from, to].
double worst_ulp(float (*f)(float), double (*exact)(double), double from, double to) {
  constexpr int n = 200'001;
  double worst = 0;
  for (int i = 0; i < n; ++i) {
    const auto x = static_cast<float>(from + (to - from) * i / (n - 1));
    const double reference = exact(static_cast<double>(x));
    const auto nearest = static_cast<float>(reference);
    const double ulp = static_cast<double>(std::nextafter(std::fabs(nearest), INFINITY)) - static_cast<double>(std::fabs(nearest));
    worst = std::max(worst, std::fabs(static_cast<double>(f(x)) - reference) / ulp);
  }
  return worst;
}

double exact_sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double exact_exp(double x) { return std::exp(x); }
double exact_tanh(double x) { return std::tanh(x); }

TEST(FastMath, AtMostTwoUnitsInTheLastPlace) {
  for (auto [from, to] : {std::pair{-104.0, 88.7}, {-1.0, 1.0}, {-10.0, 10.0}}) {
    EXPECT_LE(worst_ulp(fast_exp, exact_exp, from, to), 2) << "exp";
    EXPECT_LE(worst_ulp(fast_sigmoid<float>, exact_sigmoid, from, to), 2) << "sigmoid";
    EXPECT_LE(worst_ulp(fast_tanh, exact_tanh, from, to), 2) << "tanh";
  }
}

TEST(FastMath, EndsOfTheRange) {
  EXPECT_EQ(fast_exp(89.0f), INFINITY);
  EXPECT_EQ(fast_exp(INFINITY), INFINITY);
  EXPECT_EQ(fast_exp(-INFINITY), 0.0f);
  EXPECT_EQ(fast_exp(-1e30f), 0.0f);
  EXPECT_EQ(fast_exp(0.0f), 1.0f);
  EXPECT_TRUE(std::isnan(fast_exp(NAN)));
  EXPECT_EQ(fast_sigmoid(INFINITY), 1.0f);
  EXPECT_EQ(fast_sigmoid(-INFINITY), 0.0f);
  EXPECT_EQ(fast_sigmoid(0.0f), 0.5f);
  EXPECT_TRUE(std::isnan(fast_sigmoid(NAN)));
  EXPECT_EQ(fast_tanh(INFINITY), 1.0f);
  EXPECT_EQ(fast_tanh(-1e30f), -1.0f);
  EXPECT_TRUE(std::signbit(fast_tanh(-0.0f)));
  EXPECT_TRUE(std::isnan(fast_tanh(NAN)));
}

}  // namespace
}  // namespace rk::cpu
