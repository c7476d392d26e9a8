#include "train/resized.h"

#include <cmath>

#include "base/error.h"

namespace rk {

std::vector<double> resized_rows(std::span<const double> source, int64_t row, int64_t rows) {
  require(row > 0 && !source.empty() && static_cast<int64_t>(source.size()) % row == 0, "the source is made of rows");
  const int64_t n = static_cast<int64_t>(source.size()) / row;
  std::vector<double> result(static_cast<size_t>(rows * row));
  for (int64_t i = 0; i < rows; ++i) {
    const double position = static_cast<double>(i) / static_cast<double>(rows) * static_cast<double>(n);
    const bool last = position >= static_cast<double>(n - 1);
    const auto low = last ? n - 1 : static_cast<int64_t>(std::floor(position));
    const double weight = last ? 0 : position - static_cast<double>(low);
    for (int64_t c = 0; c < row; ++c) {
      const double a = source[static_cast<size_t>(low * row + c)];
      const double b = last ? a : source[static_cast<size_t>((low + 1) * row + c)];
      result[static_cast<size_t>(i * row + c)] = a * (1 - weight) + b * weight;
    }
  }
  return result;
}

}  // namespace rk
