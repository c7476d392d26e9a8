// --train_stage 1: the weights that a run would start from, and nothing else.
#pragma once
#include "train/trainer.h"

namespace rk {

void make_proj_dir(const std::string& folder);  // fail()s where that cannot be

// Writes proj_dir/rwkv-init.pth. Collective.
ExitCode write_init(const RunConfig& config, Comm& comm, const Machine& machine, Observer& observer);

}  // namespace rk
