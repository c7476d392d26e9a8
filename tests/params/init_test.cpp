#include "params/init.h"

#include <gtest/gtest.h>

#include <cmath>

#include "device/thread_pool.h"
#include "params/gaussian.h"
#include "params/orthogonal.h"

namespace rk {
namespace {

Param matrix(int64_t rows, int64_t cols, InitKind kind, double value) {
  Param p;
  p.name = "w";
  p.shape = {rows, cols};
  p.init.kind = kind;
  p.init.value = value;
  return p;
}

// max |G - gain^2 I| / gain^2, G the products of the shorter side's vectors.
double distance_from_orthogonal(const Param& p, const std::vector<double>& w) {
  const int64_t rows = p.shape[0], cols = p.shape[1], n = std::min(rows, cols), length = std::max(rows, cols);
  const auto at = [&](int64_t vector, int64_t i) { return w[static_cast<size_t>(rows >= cols ? i * cols + vector : vector * cols + i)]; };
  const double square = p.init.value * p.init.value;
  double worst = 0;
  for (int64_t a = 0; a < n; ++a)
    for (int64_t b = 0; b <= a; ++b) {
      double sum = 0;
      for (int64_t i = 0; i < length; ++i) sum += at(a, i) * at(b, i);
      worst = std::max(worst, std::abs(sum / square - (a == b)));
    }
  return worst;
}

TEST(FreshValues, OrthogonalOfManyShapes) {
  const std::pair<int64_t, int64_t> shapes[] = {{1, 1},   {1, 7},     {7, 1},     {8, 8},     {16, 32},    {32, 16},
                                                {127, 3}, {129, 129}, {257, 130}, {256, 256}, {1024, 256}, {100, 300}};
  for (const auto& [rows, cols] : shapes)
    for (double gain : {0.1, 1.0, 2.5}) {
      const Param p = matrix(rows, cols, InitKind::orthogonal, gain);
      EXPECT_LT(distance_from_orthogonal(p, fresh_values(p, 3)), 5e-6) << rows << " x " << cols << ", gain " << gain;
    }
}

TEST(FreshValues, OrthogonalIsSpreadEvenly) {
  const Param p = matrix(300, 100, InitKind::orthogonal, 1);
  double sum = 0, fourth = 0;
  const auto w = fresh_values(p, 5);
  for (double x : w) {
    sum += x;
    fourth += x * x * x * x;
  }
  const auto n = static_cast<double>(w.size());
  EXPECT_LT(std::abs(sum / n), 4 * std::sqrt(1.0 / 300 / n));
  EXPECT_NEAR(fourth / n * 300 * 300, 3.0 * 300 / 302, 0.15);  // of a coordinate of a uniform unit vector
}

TEST(FreshValues, DoNotDependOnThreads) {
  ThreadPool two(2), five(5);
  for (const InitKind kind : {InitKind::orthogonal, InitKind::uniform}) {
    const Param p = matrix(700, 301, kind, 0.5);
    const auto alone = fresh_values(p, 9);
    EXPECT_EQ(alone, fresh_values(p, 9, &two));
    EXPECT_EQ(alone, fresh_values(p, 9, &five));
    EXPECT_NE(alone, fresh_values(p, 10));
    EXPECT_EQ(quick_values(p, 9), quick_values(p, 9, &five));
  }
}

// So close to dependent columns that a first factorisation in double fails.
TEST(Orthonormalise, SurvivesNearlyDependentColumns) {
  for (int64_t n : {2, 50, 300}) {
    Param p = matrix(n, n, InitKind::orthogonal, 1);
    std::vector<float> a(static_cast<size_t>(n * n));
    fill_gaussian(1, 2, a, nullptr);
    for (int64_t i = 0; i < n; ++i) {
      float* row = &a[static_cast<size_t>(i * n)];
      row[n - 1] = row[0] * (1 + 1e-7f * static_cast<float>(i));
    }
    const std::vector<float> before = a;
    OrthogonalMemory memory;
    orthonormalise(a, n, n, nullptr, memory);
    EXPECT_LT(distance_from_orthogonal(p, {a.begin(), a.end()}), 5e-6) << n;
    double r00 = 0;  // the first column keeps its direction
    for (int64_t i = 0; i < n; ++i) r00 += static_cast<double>(a[static_cast<size_t>(i * n)] * before[static_cast<size_t>(i * n)]);
    EXPECT_GT(r00, 0);
  }
}

TEST(QuickValues, HaveTheScaleOfOrthogonalOnes) {
  const Param p = matrix(513, 301, InitKind::orthogonal, 0.5);
  double quick = 0, fresh = 0;
  for (double x : quick_values(p, 1)) quick += x * x;
  for (double x : fresh_values(p, 1)) fresh += x * x;
  EXPECT_NEAR(quick / fresh, 1, 0.02);
}

TEST(FreshValues, DifferByName) {
  Param p = matrix(64, 64, InitKind::orthogonal, 1);
  const auto one = fresh_values(p, 1);
  p.name = "v";
  EXPECT_NE(one, fresh_values(p, 1));
}

TEST(FreshValues, UniformFillsItsRange) {
  const Param p = matrix(1000, 100, InitKind::uniform, 1e-4);
  double sum = 0, squares = 0, largest = 0;
  for (double x : fresh_values(p, 1)) {
    sum += x;
    squares += x * x;
    largest = std::max(largest, std::abs(x));
    EXPECT_EQ(x, static_cast<double>(static_cast<float>(x)));
  }
  EXPECT_LE(largest, 1e-4);
  EXPECT_GT(largest, 0.999e-4);
  EXPECT_LT(std::abs(sum / 1e5), 1e-6);
  EXPECT_NEAR(std::sqrt(squares / 1e5), 1e-4 / std::sqrt(3), 1e-6);
}

TEST(FreshValues, FormulaAndConstant) {
  Param p = matrix(2, 3, InitKind::constant, 0.25);
  EXPECT_EQ(fresh_values(p, 1), std::vector<double>(6, 0.25));
  p.init.kind = InitKind::formula;
  p.init.formula = [](int64_t i) { return static_cast<double>(i) / 2; };
  EXPECT_EQ(fresh_values(p, 1), (std::vector<double>{0, 0.5, 1, 1.5, 2, 2.5}));
}

}  // namespace
}  // namespace rk
