// What the ranks of a run agree on about their machine before they take memory.
#pragma once
#include "comm/comm.h"
#include "train/machine.h"
#include "train/run_advice.h"

namespace rk {

// Where a run takes place: its ranks and the rates of their GPUs.
struct RunSite {
  RunPlace place;
  MachineRates rates;
};
RunSite find_site(Comm& comm, const Machine& machine);

// --micro_bsz auto: sets micro_bsz and accumulate, alike on all ranks. A line for whoever starts the run.
std::string settle_micro_bsz(Comm& comm, const Exec& bare, Model& model, RunConfig& config, const RunSite& site);

// fail()s where GPU or host lack what the run takes, with the changes that would fit; a warning, or nothing.
std::string require_fit(const Exec& bare, Model& model, const RunConfig& config, const RunPlan& run, const RunSite& site);

}  // namespace rk
