#include "params/init.h"

#include <algorithm>
#include <cmath>

#include "base/rng.h"
#include "device/thread_pool.h"
#include "params/gaussian.h"

namespace rk {
namespace {

using Run = void (*)(const Param& p, uint64_t seed, int64_t first, std::span<float> out);

std::vector<double> values_of(const Param& p, uint64_t seed, ThreadPool* pool, Run run) {
  constexpr int64_t block = 4096;
  std::vector<double> values(static_cast<size_t>(p.numel()));
  const auto part = [&](int64_t begin, int64_t end) {
    float numbers[block];
    for (int64_t at = begin; at < end; at += block) {
      const auto n = static_cast<size_t>(std::min(block, end - at));
      run(p, seed, at, {numbers, n});
      std::copy_n(numbers, n, values.begin() + at);
    }
  };
  pool ? pool->parallel_for(p.numel(), block, part) : part(0, p.numel());
  return values;
}

}  // namespace

void fresh_run(const Param& p, uint64_t seed, int64_t first, std::span<float> out) {
  switch (p.init.kind) {
    case InitKind::constant: std::fill(out.begin(), out.end(), static_cast<float>(p.init.value)); return;
    case InitKind::uniform: {
      const Random random(seed, stream_of(p.name.c_str()));
      for (size_t i = 0; i < out.size(); ++i)
        out[i] = static_cast<float>(p.init.value * (2 * random.uniform(static_cast<uint64_t>(first) + i) - 1));
      return;
    }
    case InitKind::formula:
      for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(p.init.formula(first + static_cast<int64_t>(i)));
      return;
    case InitKind::orthogonal: broken_promise("orthogonal matrices are made as a whole", Where::here());
  }
}

std::span<const float> OrthogonalValues::make(const Param& p, uint64_t seed) {
  const int64_t rows = p.shape[0], cols = p.shape[1], longer = std::max(rows, cols), shorter = std::min(rows, cols);
  require(rows * cols == p.numel(), "an orthogonal parameter is a matrix");
  const std::span<float> q = q_.take(static_cast<size_t>(p.numel()));
  fill_gaussian(seed, stream_of(p.name.c_str()), q, pool_);
  orthonormalise(q, longer, shorter, pool_, memory_);
  const std::span<float> values = rows >= cols ? q : turned_.take(q.size());
  const auto scaled = [&](float x) { return static_cast<float>(p.init.value * x); };
  const auto some_rows = [&](int64_t begin, int64_t end) {
    if (rows >= cols) {
      for (int64_t at = begin * cols; at < end * cols; ++at) values[static_cast<size_t>(at)] = scaled(q[static_cast<size_t>(at)]);
      return;
    }
    for (int64_t i = begin; i < end; ++i)
      for (int64_t j = 0; j < cols; ++j) values[static_cast<size_t>(i * cols + j)] = scaled(q[static_cast<size_t>(j * rows + i)]);
  };
  pool_ ? pool_->parallel_for(rows, 8, some_rows) : some_rows(0, rows);
  return values;
}

void quick_run(const Param& p, uint64_t seed, int64_t first, std::span<float> out) {
  if (p.init.kind != InitKind::orthogonal) return fresh_run(p, seed, first, out);
  const int64_t rows = p.shape[0], cols = p.numel() / rows;
  const auto scale = static_cast<float>(p.init.value / std::sqrt(static_cast<double>(std::max(rows, cols))));
  gaussian_run(seed, stream_of(p.name.c_str()), first, out);
  for (float& x : out) x *= scale;
}

std::vector<double> fresh_values(const Param& p, uint64_t seed, ThreadPool* pool) {
  if (p.init.kind != InitKind::orthogonal) return values_of(p, seed, pool, fresh_run);
  OrthogonalValues orthogonal(pool);
  const std::span<const float> q = orthogonal.make(p, seed);
  return {q.begin(), q.end()};
}

std::vector<double> quick_values(const Param& p, uint64_t seed, ThreadPool* pool) { return values_of(p, seed, pool, quick_run); }

}  // namespace rk
