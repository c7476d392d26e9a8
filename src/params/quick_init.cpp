#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "params/gaussian.h"
#include "params/init.h"

namespace rk {

std::vector<double> quick_values(const Param& p, uint64_t seed, ThreadPool* pool) {
  if (p.init.kind != InitKind::orthogonal) return fresh_values(p, seed, pool);
  const int64_t rows = p.shape[0], cols = p.numel() / rows;
  const auto scale = static_cast<float>(p.init.value / std::sqrt(static_cast<double>(std::max(rows, cols))));
  std::vector<float> normal(static_cast<size_t>(p.numel()));
  fill_gaussian(seed, stream_of(p.name.c_str()), normal, pool);
  std::vector<double> values(normal.size());
  std::transform(normal.begin(), normal.end(), values.begin(), [&](float x) { return scale * x; });
  return values;
}

}  // namespace rk
