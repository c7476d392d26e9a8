// A thread that ends the process when no progress was reported for too long, or when it stands still because another rank is gone.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "comm/heartbeats.h"
#include "comm/pending.h"

namespace rk {

struct WatchdogOptions {
  double timeout_s = 0;  // <= 0: never expires
  int rank = 0;
  const Pending* on_gpu = nullptr;   // what is asked at the end: what the GPU waits for,
  const Pending* on_host = nullptr;  // what the host waits for,
  Heartbeats* peers = nullptr;       // and who gives no sign of life. Each may be null.
  const std::atomic<bool>* terminated = nullptr;
  double silence_s = 15;  // without a sign of life a rank is gone
};

// On expiry prints rank, step, the last named operation and unit, and what the others in its options say, then _exit(70): mpirun or srun
// ends the other ranks. The same when this rank has stood still for silence_s, saves and loads included, and a peer has been silent for as
// long. Where another rank has died, mpirun or srun are the ones that end this one: told so by `terminated`, it prints once what it waits
// for.
class Watchdog {
 public:
  explicit Watchdog(const WatchdogOptions& options);
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;
  ~Watchdog();

  // "Still alive, now doing `what` (of `unit`) in step `step`". Texts that live as long as the watchdog; `unit` may be null. Cheap; no
  // allocation, no lock.
  void progress(int64_t step, const char* what, const char* unit = nullptr);
  void set_timeout(double timeout_s) { timeout_s_.store(timeout_s, std::memory_order_relaxed); }  // stays <= 0 where it was
  // While saving or loading, which may take any time as long as all ranks live.
  void pause();
  void resume();

 private:
  void watch();
  const WatchdogOptions options_;
  std::atomic<double> timeout_s_;
  std::atomic<int64_t> step_{0};
  std::atomic<const char*> what_{"start"}, unit_{nullptr};
  std::atomic<int64_t> last_ms_{0};
  std::atomic<bool> paused_{false};
  bool told_ = false, stop_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread thread_;
};

}  // namespace rk
