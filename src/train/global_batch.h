// The samples of a step over all ranks, kept by any number of them.
#pragma once
#include <string>

#include "train/run_config.h"
#include "train/start.h"
#include "train/step_batch.h"

namespace rk {

// How the step of a configuration is laid over `world` ranks. global_bsz may be 0: ranks x micro_bsz x accumulate.
StepBatch step_batch(const RunConfig& config, int world);

// Another micro-batch for the same samples of a step.
void set_micro_bsz(RunConfig& config, int64_t B, int world);

// "12 samples a step: 3 micro-batches of 4 over 4 ranks, one rank has none".
std::string batch_text(const StepBatch& batch);

// A run that goes on from a checkpoint keeps its samples per step, whatever the ranks are now: sets global_bsz and accumulate of `config`
// and adds a remark to `start` that says so. A typed --global_bsz that is another one is refused. Reads the checkpoint's manifest; the same
// on every rank that sees the same files.
void keep_global_batch(RunConfig& config, Start& start, int world);

}  // namespace rk
