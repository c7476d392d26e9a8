// Where every parameter lies in the flat buffers: pure data, the same on every rank.
#pragma once
#include <cstddef>
#include <limits>
#include <vector>

#include "params/param_table.h"

namespace rk {

// A run of elements inside a bucket that belongs to one parameter: [first, first + n) of the parameter, from `offset` of the bucket on.
struct Placement {
  Param* param;
  int64_t first, n;
  int64_t offset;
};

inline constexpr int64_t kPlacementAlign = 16;  // elements: 64 bytes of fp32

// What is gathered, reduced and updated together: consecutive elements of the flat memory of one unit, of which each rank owns an equal
// part.
struct BucketLayout {
  int unit = 0;
  int64_t begin = 0;    // first element inside the unit's memory
  int64_t n = 0;        // elements with padding: world * shard
  int64_t shard = 0;    // elements that each rank owns
  bool trained = true;  // else its parameters are frozen: weights alone, without gradients and optimizer state
  std::vector<Placement> placements;
};

// The parameters of a unit lie one after another, so that each can be seen as a tensor; a unit that is larger than a bucket may be has
// several, and a parameter may then reach from one into the next. Those that are trained come first, in buckets of their own.
struct FlatLayout {
  std::vector<BucketLayout> buckets;  // unit by unit
  std::vector<size_t> first_bucket;   // by unit; one entry more than there are units
  std::vector<size_t> first_frozen;   // by unit: the bucket behind its trained ones
  int world = 1;

  int n_units() const { return static_cast<int>(first_bucket.size()) - 1; }
  int64_t n_of(int unit) const;      // elements with padding
  int64_t shard_of(int unit) const;  // elements that each rank owns
  int64_t n() const;                 // of all units, with padding
  // The same of what is trained.
  int64_t n_trained_of(int unit) const;
  int64_t n_trained() const;
  int64_t largest_trained_unit() const;
  int64_t largest_unit() const;
  int64_t largest_unit_shard() const;
};

// params_by_unit[u] lists the parameters of unit u in table order. No bucket has more than about max_bucket elements. Shards are multiples
// of shard_multiple elements, itself one of kPlacementAlign.
FlatLayout make_flat_layout(const std::vector<std::vector<Param*>>& params_by_unit, int world,
                            int64_t max_bucket = std::numeric_limits<int64_t>::max(), int64_t shard_multiple = kPlacementAlign);

// The part of `p` that lies in elements [begin, end) of its bucket: [first, first + n) of the parameter, at `at` inside the bucket.
struct Overlap {
  int64_t first = 0, n = 0, at = 0;
};
Overlap overlap(const Placement& p, int64_t begin, int64_t end);

}  // namespace rk
