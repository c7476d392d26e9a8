// Makers of initial values.
#pragma once
#include <functional>

#include "params/param_table.h"

namespace rk {

InitRule constant_init(double value);
InitRule uniform_init(double half_width);
InitRule orthogonal_init(double gain);
// Larger by sqrt(rows / cols) for a tall matrix.
InitRule scaled_orthogonal_init(double gain, int64_t rows, int64_t cols);
// The gain alone, whatever the shape.
InitRule unscaled_orthogonal_init(double gain, int64_t rows, int64_t cols);
// The value of each flat element.
InitRule formula_init(std::function<double(int64_t)> formula);

}  // namespace rk
