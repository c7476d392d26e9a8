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

constexpr double kStuck_s = 0.4;  // without progress, when a stop is asked for; mpirun gives a second

struct Stuck {
  int rank;
  int64_t step;
  const char* what;
  double waited_s;
  const Pending* pending;
};

// No lock, no heap and no stdio: whatever the stuck threads hold does not matter here.
void tell(const Stuck& s, const char* event, const char* consequence) {
  char at[1024] = "no collective is under way";
  if (s.pending) s.pending->describe(at, sizeof at);
  char text[1600];
  const int n = std::snprintf(
      text, sizeof text, "[rank %d] %sno progress for %.1f s in step %lld, in \"%s\"; %s%s%sanother rank has probably died or hangs%s\n",
      s.rank, event, s.waited_s, static_cast<long long>(s.step), s.what, s.pending ? "on the GPU: " : "", s.pending ? at : "",
      s.pending ? "; " : "", consequence);
  const auto length = static_cast<size_t>(std::clamp(n, 0, static_cast<int>(sizeof text) - 1));
  const ssize_t written = write(STDERR_FILENO, text, length);
  (void)written;  // there is no one left to tell
}

}  // namespace

Watchdog::Watchdog(double timeout_s, int rank, const Pending* pending, const std::atomic<bool>* terminated)
    : last_ms_(now_ms()), timeout_s_(timeout_s), rank_(rank), pending_(pending), terminated_(terminated) {
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
  const std::chrono::duration<double> look_every(std::min(terminated_ ? 0.2 : 1.0, timeout_s_ / 4));
  bool told = false;
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, look_every, [this] { return stop_; })) {
    if (paused_) continue;  // looked at before the time: resume() renews the time first
    const double waited_s = static_cast<double>(now_ms() - last_ms_) / 1000;
    const Stuck stuck{rank_, step_, what_, waited_s, pending_};
    if (waited_s > timeout_s_) {
      tell(stuck, "", ". Leaving with exit code 70; resume from the newest checkpoint (--comm_timeout sets the limit)");
      _exit(static_cast<int>(ExitCode::hang));
    }
    if (told || waited_s < kStuck_s || !terminated_ || !*terminated_) continue;
    tell(stuck, "told to end; ", "");
    told = true;
  }
}

}  // namespace rk
