// Fresh parameter values.
#pragma once
#include <cstdint>
#include <vector>

#include "params/param_table.h"

namespace rk {

// The fresh values of p as double, row-major. Depends on (p, seed) alone: any rank computes the same.
// Orthogonal: Householder QR of a Gaussian matrix (LAPACK), Q's columns times sign(diag R), the shorter side orthonormal.
std::vector<double> fresh_values(const Param& p, uint64_t seed);

// Quick stand-ins of the same sizes for benches, where values do not matter: orthogonal matrices become normal ones of the same scale.
std::vector<double> quick_values(const Param& p, uint64_t seed);

}  // namespace rk
