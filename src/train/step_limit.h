// How long a run may stand still before its watchdog gives up, where nobody has said it.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>

namespace rk {

class StepLimit {
 public:
  explicit StepLimit(double most_s) : most_s_(most_s) {}
  void add(double step_s) { recent_[static_cast<size_t>(n_++) % recent_.size()] = step_s; }
  // max(60 s, 10 x the median of the last steps), at most most_s; that until three steps are known, because the first ones load and tune.
  double seconds() const {
    if (n_ < 3) return most_s_;
    std::array<double, 15> sorted = recent_;
    const auto end = sorted.begin() + static_cast<std::ptrdiff_t>(std::min<int64_t>(n_, static_cast<int64_t>(sorted.size())));
    const auto middle = sorted.begin() + (end - sorted.begin()) / 2;
    std::nth_element(sorted.begin(), middle, end);
    return std::min(most_s_, std::max(60.0, 10 * *middle));
  }

 private:
  double most_s_;
  std::array<double, 15> recent_{};
  int64_t n_ = 0;
};

}  // namespace rk
