#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "params/init.h"

namespace rk {

std::vector<double> quick_values(const Param& p, uint64_t seed) {
  if (p.init.kind != InitKind::orthogonal) return fresh_values(p, seed);
  const Random random(seed, stream_of(p.name.c_str()));
  const int64_t rows = p.shape[0], cols = p.numel() / rows;
  const double scale = p.init.value / std::sqrt(static_cast<double>(std::max(rows, cols)));
  std::vector<double> values(static_cast<size_t>(p.numel()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = scale * random.normal(i);
  return values;
}

}  // namespace rk
