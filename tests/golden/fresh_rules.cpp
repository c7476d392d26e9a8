#include "golden/fresh_rules.h"

#include <algorithm>
#include <cmath>

#include "kernels/gemm/op.h"

namespace rk::golden {

void compare_uniform(const Param& p, const std::vector<double>& values, const UniformRule& rule, Check& check) {
  double sum = 0, squares = 0, largest = 0;
  for (double x : values) {
    sum += x;
    squares += x * x;
    largest = std::max(largest, std::abs(x));
  }
  const auto n = static_cast<double>(values.size());
  check.at_most(p.name + " range", largest, rule.half_width);
  check.at_most(p.name + " mean", std::abs(sum / n), rule.mean * rule.half_width);
  check.at_most(p.name + " deviation", std::abs(std::sqrt(3 * squares / n) / rule.half_width - 1), rule.deviation);
}

double distance_from_orthogonal(const Param& p, const std::vector<double>& values, const OrthogonalRule& rule, ThreadPool& pool) {
  const int64_t n = p.shape[rule.rows ? 0 : 1];
  const double square = rule.gain * rule.gain;
  std::vector<double> gram(static_cast<size_t>(n * n));
  Tensor a, c;
  a.data = const_cast<double*>(values.data());
  a.shape = p.shape;
  c.data = gram.data();
  c.shape = {n, n};
  a.dtype = c.dtype = DType::f64;
  const Gemm product{.a = a, .b = a, .c = c, .trans_a = !rule.rows, .trans_b = rule.rows};
  Arena measured;
  run(Exec{.pool = &pool, .scratch = &measured}, product);
  Arena scratch(Buffer(Device::cpu, measured.peak()));
  run(Exec{.pool = &pool, .scratch = &scratch}, product);
  double worst = 0;
  for (int64_t i = 0; i < n * n; ++i) worst = std::max(worst, std::abs(gram[static_cast<size_t>(i)] / square - (i / n == i % n)));
  return worst;
}

}  // namespace rk::golden
