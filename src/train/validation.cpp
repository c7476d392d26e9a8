#include "train/validation.h"

#include "kernels/elementwise/op.h"

namespace rk {

Validation::Validation(const std::string& prefix, BatchShape shape, int64_t vocab, int rank, int world)
    : source_(make_sequential_source(std::make_shared<const Binidx>(prefix), shape.T, vocab)), shape_(shape), rank_(rank), world_(world) {
  shape_.micro = 1;
}

size_t Validation::n_bytes() const { return static_cast<size_t>(shape_.B * shape_.T) * (2 * sizeof(int32_t) + sizeof(float)); }

Validation::Result Validation::run(const Exec& ex, Runner& runner, int n_units, Watchdog& watchdog, int64_t step, Comm& comm) {
  const Tensor sums = sums_memory_.tensor(DType::f64, {2});
  rk::run(ex, Fill{.x = sums, .value = 0});
  batcher_->scale(0, 0, sums.slice(0, 1));
  const Plan visits = plan(n_units);
  const int64_t windows = source_->n_samples_per_pass(), per_round = world_ * shape_.B;
  for (int64_t round = 0; round * per_round < windows; ++round) {
    batcher_->fill(*source_, [&](int64_t, int64_t j) {
      const int64_t window = round * per_round + j * world_ + rank_;
      return window < windows ? window : -1;
    });
    sums.as<double>()[1] += batcher_->n_targets();
    StepIo io;
    io.micro = batcher_->micro();
    io.watchdog = &watchdog;
    io.step = step;
    runner.run(ex, visits, io);
  }
  watchdog.progress(step, "reduction of the validation loss");
  comm.all_reduce(sums, Reduce::sum).wait();
  const double* s = sums.as<double>();
  return {s[1] > 0 ? s[0] / s[1] : 0, static_cast<int64_t>(s[1])};
}

}  // namespace rk
