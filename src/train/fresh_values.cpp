#include "train/fresh_values.h"

namespace rk {

uint64_t seed_of(const RunConfig& config) { return config.random_seed < 0 ? 42 : static_cast<uint64_t>(config.random_seed); }

FreshValues::FreshValues(ThreadPool* pool, const RunConfig& config)
    : seed_(seed_of(config)), quick_(config.init == "normal"), orthogonal_(pool) {}

void FreshValues::put(WeightStream& stream, const Param& p, int64_t first, const Tensor& to) {
  if (quick_ || p.init.kind != InitKind::orthogonal)
    return stream.put(to, [&](int64_t at, std::span<float> out) {
      quick_ ? quick_run(p, seed_, first + at, out) : fresh_run(p, seed_, first + at, out);
    });
  if (matrix_of_ != &p) matrix_ = orthogonal_.make(p, seed_);
  matrix_of_ = &p;
  stream.put(to, DType::f32, matrix_.data() + first);
}

}  // namespace rk
