#include "train/collective_cost.h"

#include <algorithm>
#include <cmath>

namespace rk {
namespace {

double rate_of(const LinkSample& s, Collective what) {
  if (what == Collective::reduce_scatter) return s.reduce_scatter;
  return what == Collective::all_gather ? s.all_gather : s.all_reduce;
}

// Between two samples seconds are linear in bytes; below the first they are those of the first: what it takes is not the bytes.
double inside_seconds(const LinkRates& links, Collective what, double n_bytes) {
  const auto seconds = [&](const LinkSample& s) { return s.bytes / rate_of(s, what); };
  const auto& samples = links.inside;
  if (samples.empty()) return 0;
  if (n_bytes <= samples.front().bytes) {
    // A sample's start is what is left when the largest one's bandwidth is taken off.
    const double start = std::max(0.0, seconds(samples.front()) - samples.front().bytes / rate_of(samples.back(), what));
    return start + n_bytes / rate_of(samples.back(), what);
  }
  if (n_bytes >= samples.back().bytes) return n_bytes / rate_of(samples.back(), what);
  for (size_t i = 1; i < samples.size(); ++i) {
    if (n_bytes > samples[i].bytes) continue;
    const double part = (n_bytes - samples[i - 1].bytes) / (samples[i].bytes - samples[i - 1].bytes);
    return seconds(samples[i - 1]) + part * (seconds(samples[i]) - seconds(samples[i - 1]));
  }
  return 0;
}

}  // namespace

CollectiveCost collective_cost(const LinkRates& links, Collective what, double n_bytes, const RankGroup& group) {
  if (group.size == 1) return {};
  const bool both_ways = what == Collective::all_reduce;
  const double moved = n_bytes * (group.size - 1) / group.size * (both_ways ? 2 : 1);
  CollectiveCost cost;
  const int in_node = group.size / group.nodes;
  // The bus bandwidth of an all_reduce counts its bytes once: seconds of n bytes are 2 (g - 1) / g n / rate.
  if (in_node > 1) cost.transfer = inside_seconds(links, what, n_bytes) * moved / n_bytes;
  if (!group.across()) return cost;
  cost.transfer = std::max(cost.transfer, moved / (links.network / group.beside));
  // Rings pass every rank; sums that go both ways may take a tree over the nodes.
  const double ring = (group.size - group.nodes) * links.hop_s + group.nodes * links.network_hop_s;
  const double tree = std::ceil(std::log2(group.nodes)) * links.network_hop_s + (in_node - 1) * links.hop_s;
  cost.latency = both_ways ? 2 * std::min(ring, tree) : ring;
  return cost;
}

}  // namespace rk
