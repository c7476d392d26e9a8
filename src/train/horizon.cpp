#include "train/horizon.h"

#include <algorithm>
#include <cstdlib>

#include "base/error.h"
#include "train/global_batch.h"

namespace rk {

static constexpr int64_t kMiniEpochSamples = 40320;  // the reference's; divisible by 1 .. 10
static constexpr int64_t kNoExit = 99999999;         // RWKV-v5's default of my_exit

// Old trainers count whole mini-epochs of a pass (magic_prime // 40320); a pass that is shorter than one ends it.
static int64_t exponential_pass(const Horizon& h, int64_t samples_per_pass) {
  const int64_t epochs = samples_per_pass / kMiniEpochSamples;
  const bool whole = epochs > 0 && h.samples_per_epoch() == kMiniEpochSamples;
  return whole ? epochs * h.epoch_steps : std::max<int64_t>(1, samples_per_pass / h.real_bsz);
}

Horizon make_horizon(const RunConfig& config, int world, int64_t samples_per_pass, int64_t epoch_begin, int64_t warmup_steps) {
  Horizon h;
  h.real_bsz = step_batch(config, world).samples;
  h.epoch_steps = config.epoch_steps > 0 ? config.epoch_steps : std::max<int64_t>(1, kMiniEpochSamples / h.real_bsz);
  if (h.samples_per_epoch() != kMiniEpochSamples)
    h.remarks.push_back(cat("mini-epoch: ", h.epoch_steps, " steps of ", h.real_bsz, " samples = ", h.samples_per_epoch(), " samples"));
  h.first_step = epoch_begin * h.epoch_steps;

  h.schedule.lr_init = config.lr_init;
  h.schedule.lr_final = config.lr_final;
  h.schedule.warmup_steps = warmup_steps;
  h.schedule.warmup_floor = config.warmup_floor;
  h.schedule.ctx_len = config.ctx_len;
  h.schedule.real_bsz = h.real_bsz;
  h.schedule.epoch_begin = epoch_begin;
  h.schedule.epoch_steps = h.epoch_steps;
  h.schedule.epoch_count = config.epoch_count;
  h.schedule.my_exit_tokens = config.my_exit_tokens;
  h.schedule.my_pile_edecay = config.my_pile_edecay;
  h.schedule.weight_decay = config.weight_decay;
  h.schedule.weight_decay_final = config.weight_decay_final;
  const int64_t pass_tokens = samples_per_pass * config.ctx_len;
  if (config.my_exit_tokens == 0 && config.epoch_count == 0) {
    if (config.pass_schedule == "exponential") {
      h.schedule.total_steps = exponential_pass(h, samples_per_pass);
    } else {
      h.schedule.my_exit_tokens = pass_tokens;
    }
    h.remarks.push_back(cat("learning-rate horizon: one pass, ", pass_tokens, " tokens"));
  }

  const auto end_at = [&](int64_t step) { h.last_step = h.last_step == 0 ? step : std::min(h.last_step, step); };
  const int64_t tokens_per_step = h.real_bsz * config.ctx_len;
  if (config.my_exit_tokens != 0) {
    h.ends_at_exit_tokens = true;
    end_at((std::llabs(config.my_exit_tokens) + tokens_per_step - 1) / tokens_per_step);
  }
  if (config.max_steps > 0) end_at(config.max_steps);
  if (config.epoch_count > 0 && !config.forever) end_at(config.epoch_count * h.epoch_steps);
  if (config.my_exit < kNoExit) end_at((config.my_exit + 1) * h.epoch_steps);
  if (h.last_step == 0 && !config.forever) {
    end_at(std::max<int64_t>(1, samples_per_pass / h.real_bsz));
    h.remarks.push_back(cat("the run ends after one pass: ", h.last_step, " steps"));
  }
  return h;
}

}  // namespace rk
