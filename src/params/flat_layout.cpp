#include "params/flat_layout.h"

#include <algorithm>

namespace rk {
namespace {

int64_t round_up(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// Where a parameter begins in its unit's memory.
struct Start {
  Param* param;
  int64_t at;
};

// Buckets of one unit from element `begin` of its memory on; returns where they end. Only the last has padding, so that parameters go on
// from one to the next without a gap.
int64_t add_buckets(FlatLayout& layout, const BucketLayout& like, const std::vector<Param*>& params, int64_t max_bucket,
                    int64_t shard_multiple) {
  std::vector<Start> starts;
  int64_t begin = like.begin, end = begin;
  for (Param* p : params) {
    starts.push_back({p, end});
    end = round_up(end + p->numel(), kPlacementAlign);
  }
  const int64_t granule = shard_multiple * layout.world;
  const int64_t full = std::max(max_bucket / granule, int64_t{1}) * granule;
  do {
    BucketLayout bucket = like;
    bucket.begin = begin;
    bucket.n = std::min(full, round_up(end - begin, granule));
    bucket.shard = bucket.n / layout.world;
    for (const Start& s : starts) {
      const int64_t lo = std::max(s.at, begin), hi = std::min(s.at + s.param->numel(), begin + bucket.n);
      if (lo < hi) bucket.placements.push_back({s.param, lo - s.at, hi - lo, lo - begin});
    }
    begin += bucket.n;
    layout.buckets.push_back(std::move(bucket));
  } while (begin < end);
  return begin;
}

template <class Size>
int64_t largest(const FlatLayout& layout, Size size) {
  int64_t n = 0;
  for (int u = 0; u < layout.n_units(); ++u) n = std::max(n, (layout.*size)(u));
  return n;
}

}  // namespace

FlatLayout make_flat_layout(const std::vector<std::vector<Param*>>& params_by_unit, int world, int64_t max_bucket, int64_t shard_multiple) {
  FlatLayout layout;
  layout.world = world;
  for (const auto& params : params_by_unit) {
    BucketLayout like;
    like.unit = static_cast<int>(layout.first_bucket.size());
    layout.first_bucket.push_back(layout.buckets.size());
    std::vector<Param*> trained = params;
    const auto border = std::stable_partition(trained.begin(), trained.end(), [](const Param* p) { return p->trainable; });
    const std::vector<Param*> frozen(border, trained.end());
    trained.erase(border, trained.end());
    if (!trained.empty() || frozen.empty()) like.begin = add_buckets(layout, like, trained, max_bucket, shard_multiple);
    layout.first_frozen.push_back(layout.buckets.size());
    like.trained = false;
    if (!frozen.empty()) add_buckets(layout, like, frozen, max_bucket, shard_multiple);
  }
  layout.first_bucket.push_back(layout.buckets.size());
  return layout;
}

int64_t FlatLayout::n_of(int unit) const {
  const auto u = static_cast<size_t>(unit);
  const BucketLayout& last = buckets[first_bucket[u + 1] - 1];
  return last.begin + last.n;
}

int64_t FlatLayout::shard_of(int unit) const { return n_of(unit) / world; }

int64_t FlatLayout::n() const {
  int64_t sum = 0;
  for (const BucketLayout& b : buckets) sum += b.n;
  return sum;
}

int64_t FlatLayout::n_trained_of(int unit) const {
  const auto u = static_cast<size_t>(unit);
  if (first_frozen[u] == first_bucket[u]) return 0;
  const BucketLayout& last = buckets[first_frozen[u] - 1];
  return last.begin + last.n;
}

int64_t FlatLayout::n_trained() const {
  int64_t sum = 0;
  for (int u = 0; u < n_units(); ++u) sum += n_trained_of(u);
  return sum;
}

int64_t FlatLayout::largest_trained_unit() const { return largest(*this, &FlatLayout::n_trained_of); }
int64_t FlatLayout::largest_unit() const { return largest(*this, &FlatLayout::n_of); }
int64_t FlatLayout::largest_unit_shard() const { return largest(*this, &FlatLayout::shard_of); }

Overlap overlap(const Placement& p, int64_t begin, int64_t end) {
  const int64_t lo = std::max(begin, p.offset), hi = std::min(end, p.offset + p.n);
  if (lo >= hi) return {};
  return {p.first + lo - p.offset, hi - lo, lo};
}

}  // namespace rk
