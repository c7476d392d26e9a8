#include "train/ordered_sums.h"

#include "kernels/elementwise/op.h"

namespace rk {

OrderedSums::OrderedSums(Device device, const StepBatch& batch, int64_t n_square_blocks)
    : n_losses_(batch.per_rank() * batch.world), memory_(device, n_bytes(batch, n_square_blocks)) {}

size_t OrderedSums::n_bytes(const StepBatch& batch, int64_t n_square_blocks) {
  return static_cast<size_t>(batch.per_rank() * batch.world + n_square_blocks) * sizeof(double);
}

void OrderedSums::start_step(const Exec& ex) { run(ex, Fill{.x = all(), .value = 0}); }

void OrderedSums::sum_losses(const Exec& ex, const StepNumbers& numbers) { run(ex, OrderedSum{.x = losses(), .out = numbers.loss()}); }

void OrderedSums::sum_squares(const Exec& ex, const StepNumbers& numbers) { run(ex, OrderedSum{.x = squares(), .out = numbers.squares()}); }

}  // namespace rk
