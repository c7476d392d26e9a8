#include "params/flat_layout.h"

#include <algorithm>

namespace rk {

static int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

FlatLayout make_flat_layout(const std::vector<std::vector<Param*>>& params_by_unit, int world) {
  FlatLayout layout;
  for (const auto& params : params_by_unit) {
    BucketLayout bucket;
    int64_t end = 0;
    for (Param* p : params) {
      bucket.placements.push_back({p, end});
      end = round_up(end + p->numel(), kPlacementAlign);
    }
    bucket.shard = round_up((end + world - 1) / world, kPlacementAlign);
    bucket.n = bucket.shard * world;
    layout.buckets.push_back(std::move(bucket));
  }
  return layout;
}

int64_t FlatLayout::n() const {
  int64_t sum = 0;
  for (const auto& b : buckets) sum += b.n;
  return sum;
}

int64_t FlatLayout::largest_bucket() const {
  int64_t n = 0;
  for (const auto& b : buckets) n = std::max(n, b.n);
  return n;
}

int64_t FlatLayout::largest_shard() const {
  int64_t n = 0;
  for (const auto& b : buckets) n = std::max(n, b.shard);
  return n;
}

Overlap overlap(const Placement& p, int64_t begin, int64_t end) {
  const int64_t lo = std::max(begin, p.offset), hi = std::min(end, p.offset + p.param->numel());
  if (lo >= hi) return {};
  return {lo - p.offset, hi - lo, lo};
}

}  // namespace rk
