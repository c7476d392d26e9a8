#include "comm/watchdog.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/error.h"

namespace rk {
namespace {

int64_t now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

// No lock, no heap and no stdio: whatever the stuck threads hold does not matter here.
[[noreturn]] void give_up(int rank, int64_t step, const char* what, double waited_s, const Pending* pending) {
  char at[1024] = "no collective is under way";
  if (pending) pending->describe(at, sizeof at);
  char text[1600];
  const int n = std::snprintf(text, sizeof text,
                              "[rank %d] no progress for %.0f s in step %lld, in \"%s\"; %s%s%sanother rank has probably died or hangs. "
                              "Leaving with exit code %d; resume from the newest checkpoint (--comm_timeout sets the limit)\n",
                              rank, waited_s, static_cast<long long>(step), what, pending ? "on the GPU: " : "", pending ? at : "",
                              pending ? "; " : "", static_cast<int>(ExitCode::hang));
  const auto length = static_cast<size_t>(std::clamp(n, 0, static_cast<int>(sizeof text) - 1));
  const ssize_t written = write(STDERR_FILENO, text, length);
  (void)written;  // there is no one left to tell
  _exit(static_cast<int>(ExitCode::hang));
}

}  // namespace

Watchdog::Watchdog(double timeout_s, int rank, const Pending* pending)
    : last_ms_(now_ms()), timeout_s_(timeout_s), rank_(rank), pending_(pending) {
  if (timeout_s_ > 0) thread_ = std::thread([this] { watch(); });
}

Watchdog::~Watchdog() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Watchdog::progress(int64_t step, const char* what) {
  step_.store(step, std::memory_order_relaxed);
  what_.store(what, std::memory_order_relaxed);
  last_ms_.store(now_ms(), std::memory_order_relaxed);
}

void Watchdog::pause() { paused_ = true; }

void Watchdog::resume() {
  last_ms_ = now_ms();
  paused_ = false;
}

void Watchdog::watch() {
  const std::chrono::duration<double> look_every(std::min(1.0, timeout_s_ / 4));
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, look_every, [this] { return stop_; })) {
    if (paused_) continue;  // looked at before the time: resume() renews the time first
    const double waited_s = static_cast<double>(now_ms() - last_ms_) / 1000;
    if (waited_s > timeout_s_) give_up(rank_, step_, what_, waited_s, pending_);
  }
}

}  // namespace rk
