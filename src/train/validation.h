// Token-weighted loss over validation data: the same bits for any number of ranks, because batches do not depend on them and their losses
// are added up in one order.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "comm/comm.h"
#include "data/batch_source.h"
#include "train/batcher.h"
#include "train/runner.h"
#include "train/step_batch.h"

namespace rk {

class Validation {
 public:
  struct Result {
    double loss = 0;     // mean cross entropy of all targets that count, by their weights
    int64_t tokens = 0;  // targets counted
  };
  // shape: of a training step; windows are as long as its T.
  Validation(std::unique_ptr<BatchSource> source, BatchShape shape, int rank, int world);

  Plan plan(int n_units) const { return plan_forward(n_units, static_cast<int>(shape_.n_segments())); }
  const BatchShape& shape() const { return shape_; }
  size_t n_bytes() const { return Batcher::n_bytes(shape_); }
  void allocate(Device device);
  const std::vector<std::vector<Segment>>& micro() const { return batcher_->micro(); }  // after allocate()
  // Collective.
  Result run(const Exec& ex, Runner& runner, int n_units, Watchdog& watchdog, int64_t step, Comm& comm);

 private:
  std::unique_ptr<BatchSource> source_;
  BatchShape shape_;
  int64_t rank_;
  StepBatch batch_;  // the windows of the file in batches over all ranks
  std::optional<Batcher> batcher_;
  Buffer losses_;  // of each batch, and their sum
};

}  // namespace rk
