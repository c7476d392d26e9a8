// What looks after a run beside its steps: its watchdog and signs of life, steps that are not finite, ranks that are slow, requests to stop
// inside long steps, hashes of its state.
#pragma once
#include <functional>
#include <optional>
#include <string>

#include "comm/watchdog.h"
#include "train/bad_steps.h"
#include "train/slow_ranks.h"
#include "train/state_hash.h"
#include "train/step_limit.h"

namespace rk {

// What it looks at; all of it outlives the guard.
struct GuardedRun {
  const RunConfig& config;
  Comm& comm;
  Exec ex;  // without arenas
  Model& model;
  Shards& shards;
  const BatchSource& source;
  Observer& observer;
  StopFlags& flags;
};

class RunGuard {
 public:
  // writes: the run has its proj_dir to itself; its ranks then tell each other there that they live. Collective, as what is said to be
  // below.
  RunGuard(const GuardedRun& run, bool writes);
  Watchdog& watchdog() { return *watchdog_; }

  // Before a step's work, which began with its batch: ranks tell each other how many targets they have and what they have found. Returns
  // the targets of all ranks. Now and then the ranks compare their times. Collective.
  double begin_step(int64_t step, double targets, OwnTime::Clock::time_point began);
  // Where steps take many seconds: asks all ranks before a micro-batch whether one of them is to stop. Empty elsewhere, and where state is
  // offloaded: that is worked on beside the step, which therefore is always finished.
  std::function<bool()> leave();
  void end_step() { own_time_.end_step(waited()); }
  // By a signal to this rank or, on rank 0, by PROJ_DIR/stop.
  bool stop_is_asked() const;

  // Takes note of a step's report; says so when it was skipped, with its samples.
  void note(const StepReport& report, double next_loss_scale);
  // The last step was not finite: what cannot be continued from is no checkpoint.
  bool in_bad_steps() const { return bad_steps_.any(); }
  bool too_many_bad_steps() const { return bad_steps_.too_many(); }
  // Ends the run on all ranks: nothing of what led here is saved, and what can be continued is the newest checkpoint. Collective.
  [[noreturn]] void stop_at_bad_steps();

  // Of weights and moments (train/state_hash.h). Collective.
  std::string state_hash() { return hasher_.of(run_.shards, run_.comm); }

 private:
  double waited() const;
  bool leads() const { return run_.comm.rank() == 0; }
  bool scaled() const { return run_.model.dtype == DType::f16; }
  void compare_ranks();

  const GuardedRun run_;
  StateHasher hasher_;
  std::optional<Heartbeats> heartbeats_;
  std::optional<Watchdog> watchdog_;
  StepLimit limit_;
  BadSteps bad_steps_;
  OwnTime own_time_;
  SlowRanks slow_ranks_;
  double last_s_ = 0;  // of the last step that was reported
  int64_t step_ = 0;   // that is under way
  bool long_steps_ = false;
};

}  // namespace rk
