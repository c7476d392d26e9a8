// The rates of this machine, measured by running what training runs.
#pragma once
#include <functional>

#include "comm/comm.h"
#include "train/machine.h"
#include "train/machine_rates.h"

namespace rk {

// Collective; all ranks measure at the same time, so that what they share is shared as in a run. tell: a line for each part that begins.
MachineRates measure_machine(Comm& comm, const Machine& machine, const std::function<void(const std::string&)>& tell);

// Its parts. Each fills what is its own.
void measure_compute(const Machine& machine, ComputeRates& rates);
void measure_host(Comm& comm, const Machine& machine, MachineRates& rates);  // host memory, its optimizer, copies to and from a GPU
void measure_links(Comm& comm, const Machine& machine, LinkRates& rates);

}  // namespace rk
