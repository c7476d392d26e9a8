#include "params/gaussian.h"

#include <algorithm>
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

void fill_gaussian(uint64_t seed, uint64_t stream, std::span<float> out, ThreadPool* pool) {
  const auto groups = [&](int64_t begin, int64_t end) {
    for (auto g = static_cast<size_t>(begin); g < static_cast<size_t>(end); ++g) {
      const std::array<float, 4> x = four_normals(philox(seed, stream, g));
      std::copy_n(x.begin(), std::min<size_t>(4, out.size() - 4 * g), out.begin() + static_cast<std::ptrdiff_t>(4 * g));
    }
  };
  const auto n = static_cast<int64_t>((out.size() + 3) / 4);
  pool ? pool->parallel_for(n, 4096, groups) : groups(0, n);
}

}  // namespace rk
