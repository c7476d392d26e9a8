// Which ranks compute slower than the others, time after time.
#pragma once
#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace rk {

// The time that this rank's own work takes: a step without what it waits for other ranks.
class OwnTime {
 public:
  using Clock = std::chrono::steady_clock;
  // waited_s: seconds that this rank has waited for others so far.
  void begin_step(Clock::time_point began, double waited_s) {
    began_ = began;
    waited_before_ = waited_s;
  }
  void end_step(double waited_s) {
    sum_s_ += std::chrono::duration<double>(Clock::now() - began_).count() - (waited_s - waited_before_);
    ++steps_;
  }
  // Whether the ranks should compare: every 50 steps, or every minute where steps are long. Rank 0 asks and tells the others.
  bool due() const { return steps_ >= 50 || (steps_ > 0 && Clock::now() - compared_ > std::chrono::seconds(60)); }
  // Seconds of a step on average since the last call.
  double take() {
    const double mean_s = steps_ > 0 ? sum_s_ / static_cast<double>(steps_) : 0;
    steps_ = 0;
    sum_s_ = 0;
    compared_ = Clock::now();
    return mean_s;
  }

 private:
  Clock::time_point began_, compared_ = Clock::now();
  double waited_before_ = 0, sum_s_ = 0;
  int64_t steps_ = 0;
};

class SlowRanks {
 public:
  explicit SlowRanks(std::vector<std::string> host_of_rank = {}) : hosts_(std::move(host_of_rank)), in_a_row_(hosts_.size()) {}
  // Seconds of every rank's own work. A line for each rank that has taken more than 1.3 x the median three times in a row, and again
  // after every further ten times.
  std::vector<std::string> compare(std::span<const double> seconds);

 private:
  std::vector<std::string> hosts_;
  std::vector<int64_t> in_a_row_;
};

}  // namespace rk
