// When a periodic checkpoint is due.
#pragma once
#include <chrono>
#include <cstdint>

#include "train/run_config.h"

namespace rk {

class SaveCadence {
 public:
  SaveCadence() = default;
  SaveCadence(Cadence cadence, int64_t tokens_done) : cadence_(cadence), tokens_(tokens_done) {}

  // By steps or tokens: the same on every rank.
  bool due(int64_t steps_done, int64_t tokens_done) {
    if (cadence_.every <= 0) return false;
    if (cadence_.unit == Cadence::Unit::steps) return steps_done % cadence_.every == 0;
    if (cadence_.unit != Cadence::Unit::tokens || tokens_done / cadence_.every == tokens_ / cadence_.every) return false;
    tokens_ = tokens_done;
    return true;
  }
  // By the clock: rank 0 asks and tells the others.
  bool time_is_up() const {
    return cadence_.every > 0 && cadence_.unit == Cadence::Unit::minutes &&
           std::chrono::steady_clock::now() - last_ >= std::chrono::minutes(cadence_.every);
  }
  void saved() { last_ = std::chrono::steady_clock::now(); }

 private:
  Cadence cadence_;
  int64_t tokens_ = 0;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace rk
