// Which numbers of the residual stream a step of training drops: they follow from the seed of the run, the step, and the place of a token
// in its sample and of the sample in the step alone, so that ranks, micro-batches, segments, recomputations and resumed runs drop the same.
#pragma once
#include "train/run_config.h"
#include "train/step_batch.h"

namespace rk {

struct StepDropout {
  double p = 0;
  uint64_t seed = 0;                         // of this step
  int64_t first = 0, step = 1, n_micro = 1;  // of the step's n_micro micro-batches the rank has first, first + step, ...
};

// done: steps of the run before this one.
StepDropout step_dropout(const RunConfig& config, const StepBatch& batch, int rank, int64_t done);

}  // namespace rk
