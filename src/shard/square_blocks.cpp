#include "shard/square_blocks.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/elementwise/op.h"

namespace rk {

SquareBlockMap::SquareBlockMap(const FlatLayout& layout) : first{0} {
  for (int unit = 0; unit < layout.n_units(); ++unit) {
    int64_t used = 0;
    for (size_t b = layout.first_bucket[static_cast<size_t>(unit)]; b < layout.first_frozen[static_cast<size_t>(unit)]; ++b) {
      const BucketLayout& bucket = layout.buckets[b];
      require(bucket.shard % kSquareBlock == 0, "shards are whole blocks of squares");
      for (const Placement& p : bucket.placements) used = std::max(used, bucket.begin + p.offset + p.n);
    }
    first.push_back(first.back() + (used + kSquareBlock - 1) / kSquareBlock);
  }
}

SquareBlockMap::Run SquareBlockMap::of(const FlatLayout& layout, size_t bucket, int rank) const {
  const BucketLayout& b = layout.buckets[bucket];
  const auto unit = static_cast<size_t>(b.unit);
  const int64_t begin = first[unit] + (b.begin + rank * b.shard) / kSquareBlock, end = begin + b.shard / kSquareBlock;
  const int64_t last = first[unit + 1];  // behind it lies padding alone
  return {std::min(begin, last), std::min(end, last) - std::min(begin, last)};
}

}  // namespace rk
