// How far fresh values are from the rule that they are drawn by.
#pragma once
#include <vector>

#include "device/thread_pool.h"
#include "golden/golden.h"
#include "params/param_table.h"

namespace rk::golden {

struct UniformRule {
  double half_width;
  double mean, deviation;  // limits of what differs from the distribution's, as parts of the half width and of the deviation
};
// All values inside the range, mean and deviation near those of the distribution.
void compare_uniform(const Param& p, const std::vector<double>& values, const UniformRule& rule, Check& check);

struct OrthogonalRule {
  double gain;
  bool rows;  // W W^T, not W^T W, is gain^2 I
};
// max |G - gain^2 I| / gain^2.
double distance_from_orthogonal(const Param& p, const std::vector<double>& values, const OrthogonalRule& rule, ThreadPool& pool);

}  // namespace rk::golden
