// Time of each collective by size: mpirun -n N collective_bench. Without mpirun it measures the world of one.
// Bandwidth is what a rank receives, the number that the network bounds: (size - 1) / size of the whole tensor for reduce_scatter
// and all_gather, twice that for all_reduce.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <vector>

#include "base/error.h"
#include "comm/backends.h"
#include "device/buffer.h"

namespace rk {
namespace {

double median_seconds(Comm& comm, int repeats, const std::function<void()>& body) {
  using Clock = std::chrono::steady_clock;
  std::vector<double> seconds;
  for (int i = 0; i < repeats + 2; ++i) {
    comm.barrier();
    const auto began = Clock::now();
    body();
    if (i >= 2) seconds.push_back(std::chrono::duration<double>(Clock::now() - began).count());  // the first two warm up
  }
  std::nth_element(seconds.begin(), seconds.begin() + static_cast<ptrdiff_t>(seconds.size() / 2), seconds.end());
  return seconds[seconds.size() / 2];
}

struct Row {
  const char* name;
  double seconds, bytes;
};

void print(Comm& comm, size_t n_bytes, const Row& row) {
  if (comm.rank() > 0) return;
  std::printf("%-15s %9zu KiB %10.3f ms %8.2f GB/s\n", row.name, n_bytes >> 10, row.seconds * 1e3, row.bytes / row.seconds / 1e9);
  std::fflush(stdout);
}

void measure(Comm& comm, size_t n_bytes) {
  const auto n = static_cast<int64_t>(n_bytes / sizeof(float)) / comm.size() * comm.size();
  const Buffer memory(Device::cpu, n_bytes);
  const Tensor whole = memory.tensor(DType::f32, {n}), own = whole.slice(n / comm.size() * comm.rank(), n / comm.size());
  const double others = static_cast<double>(n_bytes) * (comm.size() - 1) / comm.size();
  const int repeats = n_bytes > (1 << 20) ? 15 : 101;
  const auto timed = [&](const std::function<Ticket()>& start) { return median_seconds(comm, repeats, [&] { start().wait(); }); };
  print(comm, n_bytes, {"all_reduce", timed([&] { return comm.all_reduce(whole, Reduce::sum); }), 2 * others});
  print(comm, n_bytes, {"reduce_scatter", timed([&] { return comm.reduce_scatter(whole, own); }), others});
  print(comm, n_bytes, {"all_gather", timed([&] { return comm.all_gather(own, whole); }), others});
  print(comm, n_bytes, {"broadcast", timed([&] { return comm.broadcast(whole, 0); }), others});
}

}  // namespace
}  // namespace rk

int main() {
  const auto comm = rk::under_mpi() ? rk::make_mpi_comm() : rk::make_self_comm();
  for (size_t n_bytes : {size_t{4} << 10, size_t{256} << 10, size_t{16} << 20, size_t{128} << 20}) rk::measure(*comm, n_bytes);
  rk::finalize_mpi();
}
