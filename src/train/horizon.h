// How long a run is: batch arithmetic, mini-epochs, its end and the horizon of the learning rate. Pure numbers.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "train/run_config.h"
#include "train/schedule.h"

namespace rk {

struct Horizon {
  int64_t real_bsz = 1;     // samples of an optimizer step over all ranks
  int64_t epoch_steps = 1;  // optimizer steps of a mini-epoch
  int64_t first_step = 0;   // steps done before this launch began (epoch_begin mini-epochs)
  int64_t last_step = 0;    // the run ends when so many steps are done; 0 = never
  bool ends_at_exit_tokens = false;
  Schedule schedule;
  std::vector<std::string> remarks;

  int64_t samples_per_epoch() const { return epoch_steps * real_bsz; }
  bool reached(int64_t steps_done) const {
    return (last_step > 0 && steps_done >= last_step) || (ends_at_exit_tokens && schedule.past_horizon(steps_done - first_step));
  }
};

// samples_per_pass: magic_prime. Decisions: the earliest of my_exit_tokens, max_steps and epoch_count ends the run, with none of them
// one pass; the learning-rate horizon does not shorten with an earlier end.
Horizon make_horizon(const RunConfig& config, int world, int64_t samples_per_pass, int64_t epoch_begin, int64_t warmup_steps);

}  // namespace rk
