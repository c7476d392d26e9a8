#include <algorithm>
#include <cstring>

#include "device/moments.h"
#include "kernels/adamw/op.h"
#include "kernels/step_control/op.h"
#include "train/measure_machine.h"

namespace rk {
namespace {

constexpr int kRepeats = 5;

// Seconds of one of several calls.
template <class Work>
double seconds_of(const Gpu* gpu, const Work& work) {
  Moments moments(gpu);
  work();
  const size_t begin = moments.now();
  for (int i = 0; i < kRepeats; ++i) work();
  const size_t end = moments.now();
  if (gpu) gpu->synchronize();
  return 1e-3 * moments.ms(begin, end) / kRepeats;
}

double sum_over(Comm& comm, double x) {
  comm.all_reduce({&x, {1}, DType::f64, Device::cpu}, Reduce::sum).wait();
  return x;
}

// Bytes a second, read and written, of a copy by all threads.
double copy_rate(ThreadPool& pool, size_t n_bytes) {
  const Buffer from(Device::cpu, n_bytes), to(Device::cpu, n_bytes);
  const double s = seconds_of(nullptr, [&] {
    pool.parallel_for(static_cast<int64_t>(n_bytes), int64_t{1} << 20, [&](int64_t begin, int64_t end) {
      std::memcpy(to.data() + begin, from.data() + begin, static_cast<size_t>(end - begin));
    });
  });
  return 2 * static_cast<double>(n_bytes) / s;
}

double adamw_rate(ThreadPool& pool, int64_t n) {
  const auto bytes = static_cast<size_t>(n) * sizeof(float);
  const Buffer p(Device::cpu, bytes), g(Device::cpu, bytes), m(Device::cpu, bytes), v(Device::cpu, bytes), w(Device::cpu, bytes / 2);
  double decision[kStepDecisions] = {};
  decision[kGradScale] = decision[kApply] = decision[kBias1] = decision[kBias2] = 1;
  int64_t end = n;
  double one = 1, none = 0;
  Arena scratch{Buffer(Device::cpu, 64)};
  const Exec ex{.pool = &pool, .scratch = &scratch};
  const double s = seconds_of(nullptr, [&] {
    run(ex, AdamW{.p = p.tensor(DType::f32, {n}),
                  .g = g.tensor(DType::f32, {n}),
                  .m = m.tensor(DType::f32, {n}),
                  .v = v.tensor(DType::f32, {n}),
                  .w = w.tensor(DType::bf16, {n}),
                  .ends = {&end, {1}, DType::i64, Device::cpu},
                  .lr_scale = {&one, {1}, DType::f64, Device::cpu},
                  .weight_decay = {&none, {1}, DType::f64, Device::cpu},
                  .decision = {decision, {kStepDecisions}, DType::f64, Device::cpu},
                  .lr = 1e-3});
  });
  return 30 * static_cast<double>(n) / s;
}

}  // namespace

void measure_host(Comm& comm, const Machine& machine, MachineRates& rates) {
  ThreadPool pool(machine.threads);
  // All ranks of a node at a time, so their rates add up to the node's.
  const auto of_node = [&](double rate) { return sum_over(comm, rate) / machine.n_nodes; };
  comm.barrier();
  rates.host.copy = of_node(copy_rate(pool, size_t{512} << 20));
  comm.barrier();
  rates.host.adamw = of_node(adamw_rate(pool, int64_t{32} << 20));
  if (!machine.gpu) return;
  const size_t n_bytes = size_t{256} << 20;
  const Buffer pinned(Device::pinned, n_bytes), there(Device::cuda, n_bytes);
  const auto n = static_cast<int64_t>(n_bytes);
  const Exec ex{.device = Device::cuda, .gpu = machine.gpu};
  const Tensor host = pinned.tensor(DType::u8, {n}), gpu = there.tensor(DType::u8, {n});
  comm.barrier();
  const double down = seconds_of(machine.gpu, [&] { copy(ex, gpu, host); });
  comm.barrier();
  const double up = seconds_of(machine.gpu, [&] { copy(ex, host, gpu); });
  rates.compute.down = sum_over(comm, static_cast<double>(n_bytes) / down) / comm.size();
  rates.compute.up = sum_over(comm, static_cast<double>(n_bytes) / up) / comm.size();
}

}  // namespace rk
