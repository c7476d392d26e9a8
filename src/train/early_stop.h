// How long validation has brought nothing better (--early_stop).
#pragma once
#include <cmath>
#include <string>

#include "train/checkpoint.h"

namespace rk {

// Takes note of a validation's loss in the state, which checkpoints keep; returns how many in a row have not been below the smallest one.
inline int64_t note_validation_loss(CheckpointState& state, double loss) {
  std::string& smallest = state.extra["val_smallest"];
  std::string& in_vain = state.extra["val_in_vain"];
  if (std::isfinite(loss) && (smallest.empty() || loss < std::stod(smallest))) {
    char text[32];
    std::snprintf(text, sizeof text, "%.17g", loss);
    smallest = text;
    in_vain = "0";
  } else {
    in_vain = std::to_string((in_vain.empty() ? 0 : std::stoll(in_vain)) + 1);
  }
  return std::stoll(in_vain);
}

}  // namespace rk
