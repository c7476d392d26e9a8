// Seconds of a collective, from the rates of the links that it crosses.
#pragma once
#include "train/machine_rates.h"

namespace rk {

enum class Collective : uint8_t { reduce_scatter, all_gather, all_reduce };

// Ranks that make collectives together, and how they lie. In a ring every node's border is crossed by everything once.
struct RankGroup {
  int size = 1, nodes = 1;
  int beside = 1;  // groups of the same kind that use each node's network at the same time
  bool across() const { return nodes > 1; }
};

// What a collective is made of: its ring's steps, and bytes on the link that is the narrowest.
struct CollectiveCost {
  double latency = 0, transfer = 0;  // seconds
  double total() const { return latency + transfer; }
};

// n_bytes: of the whole, which reduce_scatter divides and all_gather puts together. Nothing in a group of one.
CollectiveCost collective_cost(const LinkRates& links, Collective what, double n_bytes, const RankGroup& group);

}  // namespace rk
