// How far something has come, on standard error.
#pragma once
#include <chrono>
#include <cstdint>

namespace rk {

// A line on a terminal, rewritten a few times a second; elsewhere a line every five seconds.
class ProgressLine {
 public:
  // in_all: 0 = unknown. The first call says where it begins.
  void show(int64_t bytes_done, int64_t in_all);
  ~ProgressLine();
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }

 private:
  const std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  double shown_at_ = 0;
  int64_t begin_bytes_ = -1;
  bool on_terminal_ = false;
};

}  // namespace rk
