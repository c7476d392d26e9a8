// A tensor of one size from a tensor of another: how the reference trainer grows and cuts models.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace rk {

// Rows of `row` values each: `rows` of them at positions i * n / rows of the n rows of `source`, linear between neighbours; the last row
// repeats behind the end.
std::vector<double> resized_rows(std::span<const double> source, int64_t row, int64_t rows);

}  // namespace rk
