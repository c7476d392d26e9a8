// A thread that ends the process when no progress was reported for too long.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "comm/pending.h"

namespace rk {

// timeout_s <= 0: never expires. On expiry prints rank, step, the last named operation and what `pending` (may be null) says of the GPU,
// then _exit(70): mpirun or srun ends the other ranks. Where another rank has died these are the ones that end this one: told so by
// `terminated` (may be null), it prints once what it waits for.
class Watchdog {
 public:
  Watchdog(double timeout_s, int rank, const Pending* pending = nullptr, const std::atomic<bool>* terminated = nullptr);
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog();

  // "Still alive, now doing `what` of step `step`". `what` is a string literal. Cheap; no allocation, no lock.
  void progress(int64_t step, const char* what);
  void pause();  // while saving or loading
  void resume();

 private:
  void watch();
  std::atomic<int64_t> step_{0};
  std::atomic<const char*> what_{"start"};
  std::atomic<int64_t> last_ms_{0};
  std::atomic<bool> paused_{false};
  double timeout_s_;
  int rank_;
  const Pending* pending_;
  const std::atomic<bool>* terminated_;
  bool stop_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread thread_;
};

}  // namespace rk
