// Where a run stands: one step more.
#pragma once
#include "train/checkpoint.h"
#include "train/horizon.h"
#include "train/trainer.h"

namespace rk {

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
  state.tokens += horizon.real_bsz * horizon.lr.ctx_len;
  r.last_step = horizon.last_step;
  r.tokens = state.tokens;
}

}  // namespace rk
