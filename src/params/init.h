// Fresh parameter values.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "params/param_table.h"

namespace rk {

class ThreadPool;

// Elements [first, first + out.size()) of the fresh values of p, row-major. They depend on (p, seed) alone: any rank computes the same. Not
// for orthogonal matrices, whose elements depend on each other.
void fresh_run(const Param& p, uint64_t seed, int64_t first, std::span<float> out);
// A whole orthogonal matrix: the Q of a Gaussian matrix's QR whose R has a positive diagonal, the shorter side orthonormal, times the gain.
// `pool` (may be null) shares the work, not the result.
std::vector<float> fresh_orthogonal(const Param& p, uint64_t seed, ThreadPool* pool = nullptr);
// Quick stand-ins of the same sizes for benches, where values do not matter: orthogonal matrices become normal ones of the same scale.
void quick_run(const Param& p, uint64_t seed, int64_t first, std::span<float> out);

// All of them as double.
std::vector<double> fresh_values(const Param& p, uint64_t seed, ThreadPool* pool = nullptr);
std::vector<double> quick_values(const Param& p, uint64_t seed, ThreadPool* pool = nullptr);

}  // namespace rk
