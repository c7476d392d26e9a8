// What the operators of a step do, counted in a dry run: the input of the cost model.
#pragma once
#include <cstdint>
#include <vector>

#include "train/run_plan.h"

namespace rk {

// One operator call. op: its name, a string literal.
struct OpCall {
  const char* op;
  double bytes, flops;  // device/exec.h
  OpSizes sizes;
};

// Calls of each visit of a plan of one micro-batch; all micro-batches of a step are alike.
struct StepRecord {
  Plan plan;
  std::vector<std::vector<OpCall>> visits;  // by visit of `plan`
};

// bare, model: as for plan_run(), which has made `run`. Needs no GPU.
StepRecord record_step(const Exec& bare, Model& model, const RunPlan& run);

}  // namespace rk
