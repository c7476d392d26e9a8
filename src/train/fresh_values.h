// The values that a new model begins with, as --init names them.
#pragma once
#include <cstdint>

#include "params/init.h"
#include "train/run_config.h"
#include "train/weight_stream.h"

namespace rk {

uint64_t seed_of(const RunConfig& config);  // of fresh weights

// Made piece by piece, by all threads of a stream. Of an orthogonal matrix the whole is made, and kept for further pieces of it: pieces of
// one parameter follow each other.
class FreshValues {
 public:
  FreshValues(ThreadPool* pool, const RunConfig& config);
  // Elements [first, first + to.numel()) of p.
  void put(WeightStream& stream, const Param& p, int64_t first, const Tensor& to);

 private:
  uint64_t seed_;
  bool quick_;
  OrthogonalValues orthogonal_;
  const Param* matrix_of_ = nullptr;
  std::span<const float> matrix_;
};

}  // namespace rk
