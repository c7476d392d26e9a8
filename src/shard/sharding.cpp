#include "shard/sharding.h"

#include <algorithm>

#include "shard/host_state.h"
#include "shard/slots.h"

namespace rk {

ShardBytes predict_bytes(const FlatLayout& layout, int n_ranks, const ShardsOptions& options) {
  const Sharding s = options.sharding;
  const DType dtype = options.dtype;
  const auto n = static_cast<size_t>(layout.n()), per_rank = n / static_cast<size_t>(layout.world);
  const size_t wide = size_of(acc_dtype(dtype)), narrow = size_of(dtype);
  const auto largest = static_cast<size_t>(layout.largest_unit()), largest_trained = static_cast<size_t>(layout.largest_trained_unit());
  const auto n_trained = static_cast<size_t>(layout.n_trained()), trained_per_rank = n_trained / static_cast<size_t>(layout.world);
  ShardBytes b;
  if (!options.offload_params) b.params = (s.params ? per_rank : n) * narrow;
  if (s.params) b.transient += static_cast<size_t>(n_weight_slots(layout, options)) * largest * narrow;
  if (!options.training) return b;
  if (s.grads) b.transient += kGradSlots * largest_trained * wide;
  if (travels_narrow(n_ranks, options)) b.transient += kGradSlots * largest_trained * size_of(options.reduce_dtype);
  if (options.ordered) b.transient += kGradSlots * largest_trained * size_of(inbox_dtype(n_ranks, options));
  b.transient += static_cast<size_t>(inbox_elements(layout, options)) * size_of(inbox_dtype(n_ranks, options));
  if (options.offload_state) {
    std::vector<int64_t> sizes;
    for (const BucketLayout& bucket : layout.buckets) sizes.push_back(bucket.shard);
    b.host = HostState::n_bytes(sizes, dtype, options.offload_params);
    return b;
  }
  b.grads = (s.grads ? trained_per_rank : n_trained) * wide;
  b.state = (s.state ? trained_per_rank : n_trained) * wide * (dtype == acc_dtype(dtype) ? 2 : 3);
  return b;
}

}  // namespace rk
