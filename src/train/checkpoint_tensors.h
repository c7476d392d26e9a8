// A checkpoint folder seen as a file of tensors: what exports, conversions and inspections read.
#pragma once
#include <memory>
#include <string>

#include "io/tensor_file.h"

namespace rk {

// `path` itself if it is a checkpoint folder, else the newest complete one in it; skipped ones are named in warnings on the log.
std::string find_checkpoint(const std::string& path);

enum class CheckpointParts : uint8_t {
  trained,  // of the next ones those that the run trains
  weights,  // the master weights rounded to the model's dtype, under the tensors' names
  all,      // everything as stored: master/NAME, m/NAME, v/NAME
};
// metadata(): step, tokens and the configuration of the run.
std::unique_ptr<TensorReader> open_checkpoint(const std::string& folder, CheckpointParts parts);

}  // namespace rk
