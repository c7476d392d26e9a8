#include "params/gaussian.h"

#include <array>
#include <cmath>
#include <numbers>

#include "base/rng.h"
#include "device/thread_pool.h"

namespace rk {

// Four numbers from sixteen random bytes (Box-Muller).
static std::array<float, 4> four_normals(const std::array<uint32_t, 4>& bits) {
  std::array<float, 4> x;
  for (size_t i = 0; i < 4; i += 2) {
    const float u = (static_cast<float>(bits[i] >> 8) + 0.5f) * 0x1p-24f;  // (0, 1): its logarithm is finite
    const float angle = static_cast<float>(bits[i + 1] >> 8) * (2 * std::numbers::pi_v<float> * 0x1p-24f);
    const float radius = std::sqrt(-2 * std::log(u));
    x[i] = radius * std::cos(angle);
    x[i + 1] = radius * std::sin(angle);
  }
  return x;
}

void gaussian_run(uint64_t seed, uint64_t stream, int64_t first, std::span<float> out) {
  const auto begin = static_cast<size_t>(first), end = begin + out.size();
  for (size_t at = begin; at < end;) {
    const std::array<float, 4> x = four_normals(philox(seed, stream, at / 4));
    for (size_t i = at % 4; i < 4 && at < end; ++i) out[at++ - begin] = x[i];
  }
}

void fill_gaussian(uint64_t seed, uint64_t stream, std::span<float> out, ThreadPool* pool) {
  const auto run = [&](int64_t begin, int64_t end) {
    gaussian_run(seed, stream, begin, out.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)));
  };
  const auto n = static_cast<int64_t>(out.size());
  pool ? pool->parallel_for(n, 16384, run) : run(0, n);
}

}  // namespace rk
