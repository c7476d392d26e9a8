#include "shard/update_groups.h"

namespace rk {

std::vector<UpdateGroup> update_groups(const BucketLayout& bucket, int64_t begin, int64_t end) {
  std::vector<UpdateGroup> groups;
  for (const Placement& p : bucket.placements) {
    const Overlap o = overlap(p, begin, end);
    if (o.n == 0) continue;
    const UpdateGroup g{0, p.param->lr_scale, p.param->decay ? 1.0 : 0.0};
    if (!groups.empty() && groups.back().lr_scale == g.lr_scale && groups.back().decay == g.decay) continue;
    if (!groups.empty()) groups.back().end = o.at - begin;
    groups.push_back(g);
  }
  if (groups.empty()) groups.push_back({0, 0, 0});  // nothing but padding
  groups.back().end = end - begin;
  return groups;
}

UpdateGroupTables::UpdateGroupTables(const Exec& ex, const std::vector<std::vector<UpdateGroup>>& ranges) {
  size_t n = 0;
  for (const auto& groups : ranges) n += groups.size();
  memory_ = Buffer(ex.device, n * (sizeof(int64_t) + 2 * sizeof(double)));
  size_t at = 0;
  // Host values into the next tensor of the buffer.
  const auto put = [&](const auto& values, DType dtype) {
    const Tensor t = memory_.tensor(dtype, {static_cast<int64_t>(values.size())}, at);
    Tensor source = t;
    source.data = const_cast<void*>(static_cast<const void*>(values.data()));
    source.device = Device::cpu;
    copy(ex, source, t);
    at += t.n_bytes();
    return t;
  };
  for (const auto& groups : ranges) {
    std::vector<int64_t> ends;
    std::vector<double> lr_scale, decay;
    for (const UpdateGroup& g : groups) {
      ends.push_back(g.end);
      lr_scale.push_back(g.lr_scale);
      decay.push_back(g.decay);
    }
    tables_.push_back({put(ends, DType::i64), put(lr_scale, DType::f64), put(decay, DType::f64)});
  }
}

}  // namespace rk
