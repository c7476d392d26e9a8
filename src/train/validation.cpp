#include "train/validation.h"

#include "kernels/elementwise/op.h"

namespace rk {

Validation::Validation(std::unique_ptr<BatchSource> source, BatchShape shape, int rank, int world)
    : source_(std::move(source)), shape_(shape), rank_(rank) {
  shape_.micro = 1;
  batch_ = {.samples = source_->n_samples_per_pass(), .B = shape.B, .world = world};
}

void Validation::allocate(Device device) {
  batcher_.emplace(shape_, device);
  losses_ = Buffer(device, static_cast<size_t>(batch_.per_rank() * batch_.world + 1) * sizeof(double));
  batcher_->scale({.loss_sum = losses_.tensor(DType::f64, {1})});  // for dry runs
}

Validation::Result Validation::run(const Exec& ex, Runner& runner, int n_units, Watchdog& watchdog, int64_t step, Comm& comm) {
  const int64_t n_batches = batch_.per_rank() * batch_.world;
  const Tensor all = losses_.tensor(DType::f64, {n_batches + 1}), losses = all.slice(0, n_batches), sum = all.slice(n_batches, 1);
  double loss = 0, targets = 0;
  const Tensor on_host{&loss, {1}, DType::f64, Device::cpu}, counted{&targets, {1}, DType::f64, Device::cpu};
  rk::run(ex, Fill{.x = all, .value = 0});
  const Plan visits = plan(n_units);
  for (int64_t round = 0; round < batch_.per_rank(); ++round) {
    batcher_->fill(ex, *source_, [&](int64_t, int64_t j) { return batch_.sample(rank_, round, j); });
    batcher_->scale({.loss_sum = losses, .loss_first = batch_.number(rank_, round)});
    targets += batcher_->n_targets();
    StepIo io;
    io.micro = batcher_->micro();
    io.n_filled = round < batch_.of_rank(rank_) ? 1 : 0;
    io.watchdog = &watchdog;
    io.step = step;
    runner.run(ex, visits, io);
  }
  watchdog.progress(step, "reduction of the validation loss");
  Ticket exact = comm.all_reduce(losses, Reduce::sum), counts = comm.all_reduce(counted, Reduce::sum);  // each loss is one rank's
  exact.wait();
  counts.wait();
  rk::run(ex, OrderedSum{.x = losses, .out = sum});
  copy(ex, sum, on_host);
  return {targets > 0 ? loss / targets : 0, static_cast<int64_t>(targets)};
}

}  // namespace rk
