// A tensor of one size from a tensor of another: how the reference trainer grows and cuts models.
#pragma once
#include <cstdint>

namespace rk {

// Where a new row comes from: (1 - weight) of row `low` of the source and `weight` of the row behind it.
struct SourceRows {
  int64_t low = 0;
  double weight = 0;
};

// Row i of `rows` rows that spread over the n rows of a source: at i * n / rows, linear between neighbours; the last one repeats behind the
// end.
SourceRows source_rows(int64_t i, int64_t rows, int64_t n);

}  // namespace rk
