// Where a run stands.
#pragma once
#include "train/checkpoint.h"
#include "train/horizon.h"
#include "train/start.h"
#include "train/trainer.h"

namespace rk {

// Before the first step of a run that does not go on from a checkpoint.
inline CheckpointState first_state(const Start& start, const Horizon& horizon) {
  CheckpointState state;
  state.epoch_begin = start.epoch_begin;
  state.step = horizon.first_step;
  state.samples = state.step * horizon.real_bsz;
  state.tokens = state.samples * horizon.schedule.ctx_len;
  state.extra["real_bsz"] = std::to_string(horizon.real_bsz);
  state.extra["ctx_len"] = std::to_string(horizon.schedule.ctx_len);
  state.extra["epoch_steps"] = std::to_string(horizon.epoch_steps);
  state.extra["warmup_steps"] = std::to_string(start.warmup_steps);
  return state;
}

// Moves `state` by the step that follows it, and fills in what a report says of that step's place in the run.
inline void step_forward(CheckpointState& state, const Horizon& horizon, StepReport& r) {
  const int64_t in_run = state.step - horizon.first_step;
  r.epoch = state.epoch_begin + in_run / horizon.epoch_steps;
  r.epoch_step = in_run % horizon.epoch_steps + 1;
  r.epoch_steps = horizon.epoch_steps;
  r.step = ++state.step;
  r.first_sample = state.samples + 1;
  r.samples = horizon.real_bsz;
  state.samples += horizon.real_bsz;
  state.tokens += horizon.real_bsz * horizon.schedule.ctx_len;
  r.last_step = horizon.last_step;
  r.tokens = state.tokens;
}

}  // namespace rk
