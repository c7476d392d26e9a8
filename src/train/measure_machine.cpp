#include "train/measure_machine.h"

#include <unistd.h>

#include <algorithm>

#include "base/error.h"

namespace rk {

MachineRates measure_machine(Comm& comm, const Machine& machine, const std::function<void(const std::string&)>& tell) {
  MachineRates m;
  m.origin = "measured";
  m.name = machine.gpu ? machine.gpu->name() : "CPU";
  m.compute.device = machine.gpu ? "gpu" : "cpu";
  if (machine.gpu) {
    m.compute.memory = machine.gpu->total_bytes();
    m.compute.n_sm = machine.gpu->n_sm();
    if (const auto known = known_machine(m.name)) m.compute.peak_flops = known->compute.peak_flops;
  }
  m.links.ranks_per_node = comm.size() / machine.n_nodes;
  m.host.memory = static_cast<size_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  tell("operators of training steps");
  measure_compute(machine, m.compute);
  tell("host memory and copies");
  measure_host(comm, machine, m);
  if (comm.size() == 1) return m;
  tell(cat("collectives of ", comm.size(), " ranks"));
  measure_links(comm, machine, m.links);
  return m;
}

}  // namespace rk
