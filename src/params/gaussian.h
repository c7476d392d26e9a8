// Standard normal numbers in bulk.
#pragma once
#include <cstdint>
#include <span>

namespace rk {

class ThreadPool;

// out[i] depends on (seed, stream, i) alone. `pool` (may be null) shares the work.
void fill_gaussian(uint64_t seed, uint64_t stream, std::span<float> out, ThreadPool* pool);

}  // namespace rk
