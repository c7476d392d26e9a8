// Fresh parameter values.
#pragma once
#include <cstdint>
#include <vector>

#include "params/param_table.h"

namespace rk {

class ThreadPool;

// The fresh values of p as double, row-major; each is a float's value. Depends on (p, seed) alone, not on the number of
// threads: any rank computes the same. Orthogonal: the Q of a Gaussian matrix's QR whose R has a positive diagonal, the
// shorter side orthonormal. `pool` (may be null) shares the work.
std::vector<double> fresh_values(const Param& p, uint64_t seed, ThreadPool* pool = nullptr);

// Quick stand-ins of the same sizes for benches, where values do not matter: orthogonal matrices become normal ones of the same scale.
std::vector<double> quick_values(const Param& p, uint64_t seed, ThreadPool* pool = nullptr);

}  // namespace rk
