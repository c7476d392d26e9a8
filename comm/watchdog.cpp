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
constexpr double kAsk_s = 4;      // without progress, before the others are looked at

struct Stuck {
  int64_t step;
  const char *what, *unit;
  double waited_s;
  bool saving;
};

// A line that is put together without lock, heap and stdio: whatever the stuck threads hold does not matter here.
class Words {
 public:
  template <class... V>
  void add(const char* format, V... values) {
    const int length = std::snprintf(text_ + used_, sizeof text_ - used_, format, values...);
    used_ = std::min(sizeof text_ - 1, used_ + static_cast<size_t>(std::max(length, 0)));
  }
  // Adds `before`, what describe(text, n) writes, and `after`; nothing at all when that is empty.
  template <class Describe>
  bool add_if_any(const char* before, const Describe& describe, const char* after) {
    const size_t begin = used_;
    add("%s", before);
    const size_t n = used_ + 1 < sizeof text_ ? describe(text_ + used_, sizeof text_ - used_) : 0;
    used_ += n;
    if (n == 0) used_ = begin;
    if (n > 0) add("%s", after);
    return n > 0;
  }
  void print() const {
    const ssize_t written = write(STDERR_FILENO, text_, used_);
    (void)written;  // there is no one left to tell
  }

 private:
  char text_[2048];
  size_t used_ = 0;
};

void tell(const WatchdogOptions& o, const Stuck& s, const char* event, const char* consequence) {
  Words words;
  words.add("[rank %d] %sno progress for %.1f s in step %lld, in \"%s%s%s\"%s; ", o.rank, event, s.waited_s, static_cast<long long>(s.step),
            s.what, s.unit ? " of " : "", s.unit ? s.unit : "", s.saving ? " while saving or loading" : "");
  const auto of = [](const Pending& p) { return [&p](char* text, size_t n) { return p.describe(text, n); }; };
  if (o.on_gpu && !words.add_if_any("on the GPU: ", of(*o.on_gpu), "; ")) words.add("on the GPU: no collective is under way; ");
  if (o.on_host) words.add_if_any("waiting for ", of(*o.on_host), "; ");
  const auto of_peers = [&](char* text, size_t n) { return o.peers->describe(text, n, o.silence_s / 2); };
  if (!o.peers || !words.add_if_any("", of_peers, "")) words.add("another rank has probably died or hangs");
  words.add("%s\n", consequence);
  words.print();
}

}  // namespace

Watchdog::Watchdog(const WatchdogOptions& options) : options_(options), timeout_s_(options.timeout_s), last_ms_(now_ms()) {
  if (options.timeout_s > 0) thread_ = std::thread([this] { watch(); });
}

Watchdog::~Watchdog() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Watchdog::progress(int64_t step, const char* what, const char* unit) {
  step_.store(step, std::memory_order_relaxed);
  unit_.store(unit, std::memory_order_relaxed);
  what_.store(what, std::memory_order_relaxed);
  last_ms_.store(now_ms(), std::memory_order_relaxed);
  if (options_.peers) options_.peers->at(step);
}

void Watchdog::pause() {
  last_ms_ = now_ms();
  paused_ = true;
}

void Watchdog::resume() {
  last_ms_ = now_ms();
  paused_ = false;
}

void Watchdog::watch() {
  const std::chrono::duration<double> look_every(std::min(options_.terminated ? 0.2 : 1.0, options_.timeout_s / 4));
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, look_every, [this] { return stop_; })) {
    const bool paused = paused_;  // looked at before the time: pause() and resume() renew the time first
    const Stuck stuck{step_, what_, unit_, static_cast<double>(now_ms() - last_ms_) / 1000, paused};
    const double timeout_s = timeout_s_;
    const bool terminated = options_.terminated && *options_.terminated;
    if (!paused && stuck.waited_s > timeout_s) {
      tell(options_, stuck, "", ". Leaving with exit code 70; resume from the newest checkpoint (--comm_timeout sets the limit)");
      _exit(static_cast<int>(ExitCode::hang));
    }
    if (options_.peers) {
      options_.peers->watch(stuck.waited_s > std::min({kAsk_s, timeout_s / 2, options_.silence_s / 4}));
      if (stuck.waited_s > options_.silence_s && options_.peers->silent_rank(options_.silence_s) >= 0) {
        tell(options_, stuck, "", ". Leaving with exit code 70; the newest complete checkpoint is intact");
        _exit(static_cast<int>(ExitCode::hang));
      }
    }
    if (told_ || paused || stuck.waited_s < kStuck_s || !terminated) continue;
    tell(options_, stuck, "told to end; ", "");
    told_ = true;
  }
}

}  // namespace rk
