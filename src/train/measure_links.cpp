#include <algorithm>
#include <chrono>
#include <cmath>

#include "device/moments.h"
#include "kernels/gemm/op.h"
#include "train/collective_cost.h"
#include "train/measure_machine.h"

namespace rk {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

struct Tensors {
  Tensor whole, part;
};

void run(Comm& comm, Collective what, const Tensors& t) {
  switch (what) {
    case Collective::reduce_scatter: return comm.reduce_scatter(t.whole, t.part).wait();
    case Collective::all_gather: return comm.all_gather(t.part, t.whole).wait();
    case Collective::all_reduce: return comm.all_reduce(t.whole, Reduce::sum).wait();
  }
}

// Seconds of the slowest rank; `host` agrees on it.
double seconds_of(Comm& host, Comm& comm, const Gpu* gpu, Collective what, const Tensors& t, int repeats) {
  run(comm, what, t);
  if (gpu) gpu->synchronize();
  comm.barrier();
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < repeats; ++i) run(comm, what, t);
  if (gpu) gpu->synchronize();
  double s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / repeats;
  host.all_reduce({&s, {1}, DType::f64, Device::cpu}, Reduce::max).wait();
  return s;
}

// nccl-tests' bus bandwidth.
double bus_rate(Collective what, size_t n_bytes, int n_ranks, double seconds) {
  const double passes = what == Collective::all_reduce ? 2 : 1;
  return passes * (n_ranks - 1) / n_ranks * static_cast<double>(n_bytes) / seconds;
}

Tensors tensors(const Buffer& buffer, size_t n_bytes, const Comm& comm) {
  const auto n = static_cast<int64_t>(n_bytes / sizeof(float)) / comm.size();
  const Tensor whole = buffer.tensor(DType::f32, {n * comm.size()});
  return {whole, whole.slice(n * comm.rank(), n)};
}

// How much slower products are while weights are gathered.
double slowdown(Comm& comm, const Machine& machine, const Tensors& t) {
  constexpr int64_t R = 16384, C = 4096;
  constexpr int kProducts = 10, kGathers = 8;
  ThreadPool pool(1);
  const Buffer a(Device::cuda, R * C * 2), b(Device::cuda, C * C * 2), c(Device::cuda, R * C * 2);
  Arena scratch{Buffer(Device::cuda, 64 * kMiB)};
  const Exec ex{.device = Device::cuda, .pool = &pool, .scratch = &scratch, .gpu = machine.gpu};
  const auto products = [&] {
    for (int i = 0; i < kProducts; ++i)
      rk::run(ex, Gemm{.a = a.tensor(DType::bf16, {R, C}), .b = b.tensor(DType::bf16, {C, C}), .c = c.tensor(DType::bf16, {R, C})});
  };
  Moments moments(machine.gpu);
  products();
  const size_t begin = moments.now();
  products();
  const size_t middle = moments.now();
  std::vector<Ticket> tickets;
  for (int i = 0; i < kGathers; ++i) tickets.push_back(comm.all_gather(t.part, t.whole));
  const size_t beside = moments.now();
  products();
  const size_t end = moments.now();
  for (Ticket& ticket : tickets) ticket.wait();
  machine.gpu->synchronize();
  const double alone = moments.ms(begin, middle), together = moments.ms(beside, end);
  return std::max(0.0, together / alone - 1);
}

}  // namespace

void measure_links(Comm& comm, const Machine& machine, LinkRates& rates) {
  const Device device = machine.gpu ? Device::cuda : Device::cpu;
  const std::vector<size_t> sizes = machine.gpu ? std::vector<size_t>{1, 4, 16, 64, 256, 1024} : std::vector<size_t>{1, 4, 16};
  const Buffer buffer(device, sizes.back() * kMiB);
  const auto node = comm.split(machine.node);
  if (node->size() > 1)
    for (size_t mib : sizes) {
      const Tensors t = tensors(buffer, mib * kMiB, *node);
      const auto rate = [&](Collective what) {
        return bus_rate(what, t.whole.n_bytes(), node->size(), seconds_of(comm, *node, machine.gpu, what, t, mib > 64 ? 5 : 20));
      };
      rates.inside.push_back({static_cast<double>(t.whole.n_bytes()), rate(Collective::reduce_scatter), rate(Collective::all_gather),
                              rate(Collective::all_reduce)});
    }
  if (machine.n_nodes > 1) {
    const Tensors t = tensors(buffer, sizes.back() * kMiB, comm),
                  little = tensors(buffer, sizeof(float) * static_cast<size_t>(comm.size()), comm);
    const double s = seconds_of(comm, comm, machine.gpu, Collective::all_gather, t, 3);
    rates.network = bus_rate(Collective::all_gather, t.whole.n_bytes(), comm.size(), s);
    rates.network_hop_s = seconds_of(comm, comm, machine.gpu, Collective::all_gather, little, 20) / comm.size();
    rates.hop_s = rates.network_hop_s / 3;
  }
  if (machine.gpu) rates.slowdown = slowdown(comm, machine, tensors(buffer, 256 * kMiB, comm));
}

}  // namespace rk
