// Bus bandwidth of collectives between GPUs: mpirun -n N collective_gpu_bench [f32|bf16]. One line each, and what communicators take of a
// GPU. Bus bandwidth, as NCCL's own tests count: (size - 1) / size of the whole tensor over the time for reduce_scatter and all_gather,
// twice that for all_reduce; where links carry both directions it does not depend on the number of ranks.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "comm/agree.h"
#include "comm/backends.h"
#include "comm/places.h"
#include "device/buffer.h"

namespace rk {
namespace {

// Milliseconds of one of several that follow each other; the slowest rank's median.
double milliseconds(Comm& comm, Gpu& gpu, const std::function<Ticket()>& start) {
  constexpr int kRounds = 5, kInRound = 10;
  GpuEvent begin, end;
  std::vector<double> ms;
  for (int round = -1; round < kRounds; ++round) {  // the first one warms up
    comm.barrier();
    begin.record(gpu);
    for (int i = 0; i < kInRound; ++i) start().wait();
    end.record(gpu);
    end.wait();
    if (round >= 0) ms.push_back(end.ms_since(begin) / kInRound);
  }
  std::sort(ms.begin(), ms.end());
  double median = ms[ms.size() / 2];
  comm.all_reduce({&median, {1}, DType::f64, Device::cpu}, Reduce::max).wait();
  return median;
}

void measure(Comm& comm, Gpu& gpu, size_t n_bytes, DType dtype) {
  const auto n = static_cast<int64_t>(n_bytes / size_of(dtype)) / comm.size() * comm.size();
  const Buffer memory(Device::cuda, n_bytes);
  const Tensor whole = memory.tensor(dtype, {n}), own = whole.slice(n / comm.size() * comm.rank(), n / comm.size());
  const double others = static_cast<double>(n_bytes) * (comm.size() - 1) / comm.size();
  const auto line = [&](const char* name, double bytes, const std::function<Ticket()>& start) {
    const double ms = milliseconds(comm, gpu, start);
    if (comm.rank() > 0) return;
    std::printf("%-14s %-4s %5zu MiB  %9.3f ms  %7.1f GB/s on the bus\n", name, name_of(dtype), n_bytes >> 20, ms, bytes / ms / 1e6);
    std::fflush(stdout);
  };
  line("all_reduce", 2 * others, [&] { return comm.all_reduce(whole, Reduce::sum); });
  line("reduce_scatter", others, [&] { return comm.reduce_scatter(whole, own); });
  line("all_gather", others, [&] { return comm.all_gather(own, whole); });
}

void run(DType dtype) {
  std::unique_ptr<Comm> host = under_mpi() ? make_mpi_comm() : make_self_comm();
  std::optional<Gpu> gpu;
  agree(*host, [&] { gpu.emplace(GpuOptions{.index = choose_gpu(local_rank(*host), local_size(*host), n_gpus())}); });
  check_gpus_differ(*host, gpu->uuid());
  const size_t free_at_first = gpu->free_bytes();
  const std::unique_ptr<Comm> comm = make_gpu_comm(std::move(host), *gpu);
  if (comm->rank() == 0) std::printf("%d ranks, NCCL %s, %s\n", comm->size(), nccl_version().c_str(), gpu->name().c_str());
  for (size_t mib : {1u, 16u, 256u, 1024u}) measure(*comm, *gpu, mib << 20, dtype);
  const size_t free_with_one = gpu->free_bytes();
  const auto twin = comm->twin("bench");
  measure(*twin, *gpu, size_t{1} << 20, dtype);
  if (comm->rank() == 0)
    std::printf("GPU memory of the first communicator %zu MiB, of its twin %zu MiB\n", (free_at_first - free_with_one) >> 20,
                (free_with_one - gpu->free_bytes()) >> 20);
}

}  // namespace
}  // namespace rk

int main(int argc, char** argv) {
  if (rk::n_gpus() == 0) {
    std::puts("no GPU: nothing to measure");
    return 0;
  }
  rk::run(argc > 1 && std::string_view(argv[1]) == "bf16" ? rk::DType::bf16 : rk::DType::f32);
  rk::finalize_mpi();
}
