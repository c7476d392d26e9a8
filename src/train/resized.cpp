#include "train/resized.h"

#include <cmath>

#include "base/error.h"

namespace rk {

SourceRows source_rows(int64_t i, int64_t rows, int64_t n) {
  require(i >= 0 && i < rows && n > 0, "a row comes from rows");
  const double position = static_cast<double>(i) / static_cast<double>(rows) * static_cast<double>(n);
  if (position >= static_cast<double>(n - 1)) return {n - 1, 0};
  const double low = std::floor(position);
  return {static_cast<int64_t>(low), position - low};
}

}  // namespace rk
