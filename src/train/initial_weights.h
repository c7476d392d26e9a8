// The weights that a new model begins with, as a file: `--train_stage 1` and `rookery init` (golden rwkv7 §9, §13).
#pragma once
#include <string>

#include "data/open_data.h"
#include "device/thread_pool.h"
#include "train/run_config.h"

namespace rk {

// Streams them to `path` in the type `in_file`; returns a sentence that says what was written. Tensors of config.load_model take the place
// of fresh ones, with rows interpolated where their numbers differ. Sizes are those of the flags, else of that file, else the family's
// rules; the vocabulary may come from `data`, which may be null.
std::string write_initial_weights(const RunConfig& config, const DataSet* data, DType in_file, const std::string& path, ThreadPool& pool);

}  // namespace rk
