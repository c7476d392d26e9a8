// Anonymous memory of this process: what it allocated, without the pages of mapped files.
#pragma once
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <fstream>
#include <string>
#include <thread>

namespace rk::test {

// Bytes that are resident now.
inline size_t anonymous_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    size_t kib = 0;
    if (word == "RssAnon:" && status >> kib) return kib << 10;
  }
  return 0;
}

// Looks every millisecond while it lives.
class AnonymousGrowth {
 public:
  AnonymousGrowth() : before_(anonymous_bytes()), peak_(before_), thread_([this] { watch(); }) {}
  AnonymousGrowth(const AnonymousGrowth&) = delete;
  AnonymousGrowth& operator=(const AnonymousGrowth&) = delete;
  ~AnonymousGrowth() {
    stop_ = true;
    thread_.join();
  }
  // The most that there was beyond what was there at first.
  size_t bytes() const { return std::max<size_t>(peak_, anonymous_bytes()) - before_; }

 private:
  void watch() {
    while (!stop_) {
      peak_ = std::max<size_t>(peak_, anonymous_bytes());
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  size_t before_;
  std::atomic<size_t> peak_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

}  // namespace rk::test
