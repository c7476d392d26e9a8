#include "train/validation.h"

namespace rk {

Validation::Validation(const std::string& prefix, BatchShape shape, int64_t vocab, int rank, int world)
    : source_(make_sequential_source(std::make_shared<const Binidx>(prefix), shape.T, vocab)), shape_(shape), rank_(rank), world_(world) {
  shape_.micro = 1;
}

void Validation::allocate(Device device) {
  batcher_.emplace(shape_, device);
  loss_memory_ = Buffer(device, sizeof(double));
}

Validation::Result Validation::run(const Exec& ex, Runner& runner, int n_units, Watchdog& watchdog, int64_t step, Comm& comm) {
  const Tensor loss_sum = loss_memory_.tensor(DType::f64, {1});
  double loss = 0, targets = 0;
  const Tensor on_host{&loss, {1}, DType::f64, Device::cpu}, counted{&targets, {1}, DType::f64, Device::cpu};
  copy(ex, on_host, loss_sum);
  batcher_->scale({.loss_sum = loss_sum});
  const Plan visits = plan(n_units);
  const int64_t windows = source_->n_samples_per_pass(), per_round = world_ * shape_.B;
  for (int64_t round = 0; round * per_round < windows; ++round) {
    batcher_->fill(ex, *source_, [&](int64_t, int64_t j) {
      const int64_t window = round * per_round + j * world_ + rank_;
      return window < windows ? window : -1;
    });
    targets += batcher_->n_targets();
    StepIo io;
    io.micro = batcher_->micro();
    io.watchdog = &watchdog;
    io.step = step;
    runner.run(ex, visits, io);
  }
  watchdog.progress(step, "reduction of the validation loss");
  Ticket losses = comm.all_reduce(loss_sum, Reduce::sum), counts = comm.all_reduce(counted, Reduce::sum);
  losses.wait();
  counts.wait();
  copy(ex, loss_sum, on_host);
  return {targets > 0 ? loss / targets : 0, static_cast<int64_t>(targets)};
}

}  // namespace rk
