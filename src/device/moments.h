// Moments on a GPU's stream, or of the clock: what operators are timed with.
#pragma once
#include <chrono>
#include <deque>
#include <vector>

#include "device/exec.h"

namespace rk {

class Moments {
 public:
  explicit Moments(const Gpu* gpu) : gpu_(gpu) {}  // null: the clock
  size_t now() {
    if (!gpu_) {
      times_.push_back(std::chrono::steady_clock::now());
      return times_.size() - 1;
    }
    if (used_ == events_.size()) events_.emplace_back();
    events_[used_].record(*gpu_);
    return used_++;
  }
  // The GPU has passed both.
  double ms(size_t from, size_t to) const {
    if (gpu_) return events_[to].ms_since(events_[from]);
    return std::chrono::duration<double, std::milli>(times_[to] - times_[from]).count();
  }
  void clear() {
    used_ = 0;
    times_.clear();
  }

 private:
  const Gpu* gpu_;
  std::deque<GpuEvent> events_;
  size_t used_ = 0;
  std::vector<std::chrono::steady_clock::time_point> times_;
};

}  // namespace rk
