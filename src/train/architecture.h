// Which model `--my_testing` means, as the trainer of the command line would read it, and what goes with it.
#pragma once
#include "model/families.h"
#include "nn/unit.h"
#include "train/run_config.h"

namespace rk {

// Replaces config.arch by the plain name of the architecture, honours suffixes ("-f4") and refuses those whose models do not exist here.
void settle_architecture(RunConfig& config);

// Refuses what a model with these sizes and the options of its run cannot be together, before memory is taken.
void check_with_run(const ModelSpec& spec, const RunConfig& config);

// What the run trains of a new model, in which groups of the optimizer.
void prepare_training(Model& model, const Family& family, const RunConfig& config);

}  // namespace rk
