// How many units' weights and gradients are under way at a time.
#pragma once
#include <algorithm>

#include "shard/sharding.h"

namespace rk {

inline constexpr int kGradSlots = 2;  // the unit at work and the one that leaves

inline int n_weight_slots(const FlatLayout& layout, const ShardsOptions& options) {
  return std::min(std::max(options.weight_slots, 2), layout.n_units());
}

// Whether gradients are rounded for the way between ranks; a world of one has no way, but ordered sums are to be those of other worlds.
inline bool travels_narrow(int n_ranks, const ShardsOptions& options) {
  return options.reduce_dtype == DType::bf16 && acc_dtype(options.dtype) == DType::f32 && (n_ranks > 1 || options.ordered);
}

// Elements that arrive from the other ranks of a group in one reduction.
inline int64_t inbox_elements(const FlatLayout& layout, const ShardsOptions& options) {
  if (!options.inbox || options.ordered || !options.training || !options.sharding.state || layout.world == 1) return 0;
  int64_t largest = 0;
  for (const BucketLayout& b : layout.buckets) largest = std::max(largest, b.trained ? b.shard : 0);
  return largest * (layout.world - 1);
}
// What arrives, in the inbox or, of ordered sums, beside a slot.
inline DType inbox_dtype(int n_ranks, const ShardsOptions& options) {
  return travels_narrow(n_ranks, options) ? options.reduce_dtype : acc_dtype(options.dtype);
}

}  // namespace rk
