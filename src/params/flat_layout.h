// Where every parameter lies in the flat buffers: pure data, the same on every rank.
#pragma once
#include <vector>

#include "params/param_table.h"

namespace rk {

// A run of elements inside a bucket that belongs to one parameter.
struct Placement {
  Param* param;
  int64_t offset;  // first element inside the bucket, a multiple of kPlacementAlign
};

inline constexpr int64_t kPlacementAlign = 16;  // elements: 64 bytes of fp32

// One bucket a unit: what is gathered, reduced and updated together.
struct BucketLayout {
  std::vector<Placement> placements;
  int64_t n = 0;      // elements with padding: world * shard
  int64_t shard = 0;  // elements that each rank owns
};

struct FlatLayout {
  std::vector<BucketLayout> buckets;  // by unit
  int64_t n() const;                  // all elements with padding
  int64_t largest_bucket() const;
  int64_t largest_shard() const;
};

// params_by_unit[u] lists the parameters of unit u in table order.
FlatLayout make_flat_layout(const std::vector<std::vector<Param*>>& params_by_unit, int world);

// The part of `p` that lies in elements [begin, end) of its bucket: [first, first + n) of the parameter, at `at` inside the bucket.
struct Overlap {
  int64_t first = 0, n = 0, at = 0;
};
Overlap overlap(const Placement& p, int64_t begin, int64_t end);

}  // namespace rk
