#include "params/init.h"

#include <algorithm>

#include "base/rng.h"
#include "device/thread_pool.h"
#include "params/gaussian.h"
#include "params/orthogonal.h"

namespace rk {

static std::vector<double> orthogonal_values(const Param& p, uint64_t seed, ThreadPool* pool) {
  const int64_t rows = p.shape[0], cols = p.shape[1], longer = std::max(rows, cols), shorter = std::min(rows, cols);
  require(rows * cols == p.numel(), "an orthogonal parameter is a matrix");
  std::vector<float> q(static_cast<size_t>(p.numel()));
  fill_gaussian(seed, stream_of(p.name.c_str()), q, pool);
  orthonormalise(q, longer, shorter, pool);
  std::vector<double> values(q.size());
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < cols; ++j) {
      const float x = rows >= cols ? q[static_cast<size_t>(i * cols + j)] : q[static_cast<size_t>(j * rows + i)];
      values[static_cast<size_t>(i * cols + j)] = static_cast<float>(p.init.value * x);
    }
  return values;
}

std::vector<double> fresh_values(const Param& p, uint64_t seed, ThreadPool* pool) {
  if (p.init.kind == InitKind::orthogonal) return orthogonal_values(p, seed, pool);
  std::vector<double> values(static_cast<size_t>(p.numel()), static_cast<float>(p.init.value));
  if (p.init.kind == InitKind::uniform) {
    const Random random(seed, stream_of(p.name.c_str()));
    const auto fill = [&](int64_t begin, int64_t end) {
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
        values[i] = static_cast<float>(p.init.value * (2 * random.uniform(i) - 1));
    };
    pool ? pool->parallel_for(p.numel(), 4096, fill) : fill(0, p.numel());
  } else if (p.init.kind == InitKind::formula) {
    for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(p.init.formula(static_cast<int64_t>(i)));
  }
  return values;
}

}  // namespace rk
