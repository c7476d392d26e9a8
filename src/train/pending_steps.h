// Steps whose work is queued and whose numbers have not arrived, oldest first: on a GPU the host is a step ahead.
#pragma once
#include <chrono>
#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "train/step_numbers.h"
#include "train/trainer.h"

namespace rk {

struct PendingStep {
  StepReport report;  // what is known beforehand
  double targets = 0, rank_targets = 0;
  std::vector<int64_t> offsets;
  std::chrono::steady_clock::time_point began = std::chrono::steady_clock::now(), queued = began;
};

class PendingSteps {
 public:
  // A step that is queued from now on.
  PendingStep& begin() {
    PendingStep& step = steps_.emplace_back();
    step.began -= std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::exchange(pause_, {}));
    return step;
  }
  void drop() { steps_.pop_back(); }  // the one that was begun last
  // Seconds that a save made the next step wait for its beginning: they are part of it.
  void pause(double seconds) { pause_ += Seconds(seconds); }
  size_t size() const { return steps_.size(); }
  void queued() { steps_.back().queued = std::chrono::steady_clock::now(); }  // all work of the newest
  int64_t oldest() const { return steps_.front().report.step; }

  // What a report is made of beside the step's numbers.
  struct Scale {
    double grad_clip = 0;
    int64_t rows = 0;  // tokens of a step
  };
  // Completes the report of the oldest step from its numbers, which have arrived. Its offsets stay until the next call.
  StepReport complete(const StepValues& values, const Scale& scale);

 private:
  using Seconds = std::chrono::duration<double>;
  std::deque<PendingStep> steps_;
  std::vector<int64_t> offsets_;
  Seconds pause_{0};                            // before the next step
  Seconds too_much_{0};                         // that the last steps were told
  std::chrono::steady_clock::time_point last_;  // when the step before was completed
};

}  // namespace rk
