// The loss scale of fp16 in the state of a run.
#pragma once
#include <cstdint>

#include "train/checkpoint.h"

namespace rk {

struct LossScale {
  double scale = 1;
  int64_t good_steps = 0;  // finite ones since it changed
};

// Where the run stands; 1 for good where losses are not scaled.
inline LossScale loss_scale_of(const CheckpointState& state, bool scaled) {
  if (!scaled) return {};
  const auto kept = [&](const char* name, double otherwise) {
    const auto it = state.extra.find(name);
    return it != state.extra.end() ? std::stod(it->second) : otherwise;
  };
  return {kept("loss_scale", 65536), static_cast<int64_t>(kept("loss_scale_good_steps", 0))};
}

inline void keep_loss_scale(CheckpointState& state, const LossScale& now) {
  state.extra["loss_scale"] = std::to_string(now.scale);
  state.extra["loss_scale_good_steps"] = std::to_string(now.good_steps);
}

}  // namespace rk
