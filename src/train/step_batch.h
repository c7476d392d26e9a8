// Which samples of a step are whose: the step's samples in micro-batches, the micro-batches on ranks. Pure numbers.
#pragma once
#include <algorithm>
#include <cstdint>

namespace rk {

// A step's micro-batches are numbered over all ranks, and rank r has r, r + world, r + 2 world, ... What is in a micro-batch depends on
// the samples of a step and on B alone, never on the number of ranks.
struct StepBatch {
  int64_t samples = 1;  // of a step, over all ranks
  int64_t B = 1;        // rows of a micro-batch; some micro-batches may have fewer samples
  int64_t world = 1;

  int64_t n_micro() const { return (samples + B - 1) / B; }             // of a step, over all ranks
  int64_t per_rank() const { return (n_micro() + world - 1) / world; }  // in every rank's plan
  int64_t of_rank(int64_t rank) const {                                 // those of them that hold samples; the last may hold none
    return std::max<int64_t>(0, (n_micro() - rank + world - 1) / world);
  }
  int64_t number(int64_t rank, int64_t m) const { return m * world + rank; }  // of a rank's micro-batch m
  // Sample 0 .. samples - 1 of the step in row j of a rank's micro-batch m; -1: the row is empty.
  int64_t sample(int64_t rank, int64_t m, int64_t j) const {
    const int64_t g = number(rank, m), sample = j * n_micro() + g;
    return g < n_micro() && sample < samples ? sample : -1;
  }
};

}  // namespace rk
