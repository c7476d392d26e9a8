// Analytic gradients against central differences, in double.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "base/rng.h"

namespace rk::test {

// d f / d h at h = 0 by four points: error h^4 f^(5) / 30 against rounding eps f / h, so h = eps^(1/5).
inline double central_difference(const std::function<double(double h)>& f) {
  const double h = std::pow(std::numeric_limits<double>::epsilon(), 0.2);
  return (8 * (f(h) - f(-h)) - (f(2 * h) - f(-2 * h))) / (12 * h);
}

// loss() reads x, which is moved and put back; dx is the claimed gradient. Checks two random directions over all elements and up to
// `elements` single ones, the first and the last among them. Tolerance is relative to the largest gradient times the step's length.
struct Gradcheck {
  std::string name;
  std::function<double()> loss;
  std::span<double> x;
  std::span<const double> dx;
  int elements = 8;
  double tolerance = 1e-8;
};

inline void expect_gradient(const Gradcheck& g) {
  ASSERT_EQ(g.x.size(), g.dx.size()) << g.name;
  const std::vector<double> at(g.x.begin(), g.x.end());
  double largest = 0;
  for (double d : g.dx) largest = std::max(largest, std::fabs(d));
  const auto along = [&](const std::vector<double>& u, const std::string& what) {
    double claimed = 0, length = 0;
    for (size_t i = 0; i < u.size(); ++i) {
      claimed += u[i] * g.dx[i];
      length += u[i] * u[i];
    }
    const double measured = central_difference([&](double h) {
      for (size_t i = 0; i < u.size(); ++i) g.x[i] = at[i] + h * u[i];
      return g.loss();
    });
    std::copy(at.begin(), at.end(), g.x.begin());
    EXPECT_NEAR(claimed, measured, g.tolerance * std::max(1.0, largest * std::sqrt(length))) << g.name << " " << what;
  };
  const Random random(17, stream_of(g.name.c_str()));
  for (uint64_t direction = 0; direction < 2; ++direction) {
    std::vector<double> u(at.size());
    for (size_t i = 0; i < u.size(); ++i) u[i] = random.uniform(2 * i + direction) < 0.5 ? -1 : 1;
    along(u, "along a random direction");
  }
  const size_t n = std::min(at.size(), static_cast<size_t>(g.elements));
  for (size_t k = 0; k < n; ++k) {
    const size_t i =
        k == 0 ? 0 : (k == 1 ? at.size() - 1 : static_cast<size_t>(random.uniform(1'000'000 + k) * static_cast<double>(at.size())));
    std::vector<double> u(at.size(), 0.0);
    u[i] = 1;
    along(u, "element " + std::to_string(i));
  }
}

}  // namespace rk::test
