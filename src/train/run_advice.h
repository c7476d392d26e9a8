// What a run would take and how fast it would be, and the cheapest changes of its options that make it fit.
#pragma once
#include <string>
#include <vector>

#include "train/cost_model.h"

namespace rk {

// A run as its options say it, on a machine.
struct RunCase {
  const RunConfig& config;  // validated
  RunPlace place;
  const MachineRates& machine;
};

struct Forecast {
  RunPlan run;  // its plan has at most a few of the micro-batches
  StepCost cost;
  double tokens_per_s = 0;  // of all ranks
  bool fits = false;        // the GPU and, where its size is known, the host
};
// bare, model: as for plan_run().
Forecast forecast(const Exec& bare, Model& model, const RunCase& asked);

// Another set of options with the same global batch.
struct Suggestion {
  std::string flags;  // those that change, to be pasted behind the others
  size_t on_gpu = 0, on_host = 0;
  double tokens_per_s = 0;
  int n_ranks = 1;
};
// Those that fit, fastest first, without those that change more than a faster one does. At most `most`.
std::vector<Suggestion> suggest(const Exec& bare, Model& model, const RunCase& asked, size_t most = 5);

// "--grad_cp 1 (34.2 GiB, 43.5 k tokens/s)", ... for the sentence that refuses a run.
std::string advice(const std::vector<Suggestion>& suggestions);

// The micro-batch that makes the step fastest of those that fit and fill this rank's share of the global batch; 1 where none fits.
int64_t choose_micro_bsz(const Exec& bare, Model& model, const RunCase& asked);

// The rates of a GPU by its driver's name; of an unknown one those of an H100, which rank choices alike.
MachineRates rates_for(const std::string& gpu_name);

}  // namespace rk
