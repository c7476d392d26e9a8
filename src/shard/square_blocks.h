// The gradient's sums of squares by block of its units' memory: which blocks there are, whoever owns them.
#pragma once
#include <cstdint>
#include <vector>

#include "params/flat_layout.h"

namespace rk {

// Blocks of kSquareBlock elements of each unit's memory, unit by unit, up to the last one that holds parameters: neither their number nor
// what is in them depends on the ranks. The shards of `layout` are whole blocks.
struct SquareBlockMap {
  explicit SquareBlockMap(const FlatLayout& layout);
  // The blocks of one rank's part of a bucket.
  struct Run {
    int64_t first = 0, n = 0;  // among all blocks
  };
  Run of(const FlatLayout& layout, size_t bucket, int rank) const;

  std::vector<int64_t> first;  // by unit; one entry more than there are units
  int64_t n() const { return first.back(); }
};

}  // namespace rk
