// Standard normal numbers in bulk.
#pragma once
#include <cstdint>
#include <span>

namespace rk {

class ThreadPool;

// Numbers [first, first + out.size()) of a stream: each depends on (seed, stream, its place) alone.
void gaussian_run(uint64_t seed, uint64_t stream, int64_t first, std::span<float> out);
// The numbers from the first on. `pool` (may be null) shares the work.
void fill_gaussian(uint64_t seed, uint64_t stream, std::span<float> out, ThreadPool* pool);

}  // namespace rk
