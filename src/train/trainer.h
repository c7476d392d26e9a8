// A training run from its configuration to its end.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "comm/comm.h"
#include "train/machine.h"
#include "train/run_config.h"

namespace rk {

// What one optimizer step was. Rank 0's numbers are global; they are the same on every rank.
struct StepReport {
  int64_t step = 0;                                          // counts from 1 over the whole run, resumes included
  int64_t last_step = 0;                                     // where the run will end; 0 = unknown (--forever)
  double loss = 0;                                           // mean cross entropy over all counted tokens of all ranks
  double rank_loss = 0;                                      // of this rank's own rows
  double lr = 0, weight_decay = 0, grad_norm = 0, clip = 1;  // base lr; of the step; norm before clipping; factor applied to gradients
  bool skipped = false;                                      // non-finite: no update
  int64_t tokens = 0;                                        // cumulative
  double tokens_per_s = 0, seconds = 0, seconds_left = 0;
  double data_s = 0;                                   // of these, this rank's wait for its samples
  int64_t epoch = 0, epoch_step = 0, epoch_steps = 0;  // mini-epoch
  const std::vector<int64_t>* offsets = nullptr;       // token offsets of this rank's samples
  int64_t first_sample = 0, samples = 0;               // numbers of the step's samples, of all ranks: first_sample, ...
  double applied_scale = 1;                            // loss scale that the gradients carried
  std::string hash;                                    // of weights and moments after the step; empty: not asked for
};

// Where people look. All calls come from the training thread; only rank 0's are shown.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void line(const std::string&) {}  // a remark: where resumed, what was saved, warnings
  virtual void step(const StepReport&) {}
  virtual void validation(int64_t /*step*/, double /*loss*/, int64_t /*tokens*/) {}
};

// Set from signal handlers.
struct StopFlags {
  std::atomic<bool> save_and_stop{false}, save_and_go_on{false};
  std::atomic<bool> terminated{false};  // by SIGTERM: who stops all ranks may do so because one has died
};

// Runs on every rank of `comm`. Returns done or interrupted (state saved).
ExitCode train(const RunConfig& config, Comm& comm, const Machine& machine, Observer& observer, StopFlags& flags);

// Makes the steps of a run again, from the checkpoint folder that config.resume names up to and with last_step, and reports each with its
// hash. Writes nothing. Runs on every rank of `comm`.
void replay(const RunConfig& config, Comm& comm, const Machine& machine, Observer& observer, int64_t last_step);

}  // namespace rk
