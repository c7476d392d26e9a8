#include "comm/heartbeats.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <utility>

namespace rk {
namespace {

// A rank's record. Each has a page of its own, so that hosts do not write into each other's on network disks.
struct Record {
  uint64_t beats;
  int64_t step;
};
constexpr off_t kStride = 4096;

}  // namespace

Heartbeats::Heartbeats(std::string path, int rank, int size, double every_s)
    : path_(std::move(path)), rank_(rank), size_(size), every_s_(every_s), seen_(std::make_unique<Seen[]>(static_cast<size_t>(size))) {
  if (rank_ == 0) {
    const int file = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file >= 0) ::close(file);
  }
  thread_ = std::thread([this] { run(); });
}

Heartbeats::~Heartbeats() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
  if (rank_ == 0) ::unlink(path_.c_str());
}

void Heartbeats::run() {
  const std::chrono::duration<double> every(every_s_);
  bool watched = false;
  std::unique_lock lock(mutex_);
  do {
    lock.unlock();
    write_own();
    const bool watching = watching_;
    if (watching && !watched)
      for (int r = 0; r < size_; ++r) seen_[static_cast<size_t>(r)].unchanged = 0;
    if (watching) read_others();
    watched = watching;
    lock.lock();
  } while (!wake_.wait_for(lock, every, [this] { return stop_; }));
}

// Opened each time: closing is what makes network disks send it.
void Heartbeats::write_own() {
  const int file = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  const Record own{++beats_, step_};
  const ssize_t written = ::pwrite(file, &own, sizeof own, rank_ * kStride);
  (void)written;  // the others see no change, and say so
  ::close(file);
}

void Heartbeats::read_others() {
  const int file = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  for (int r = 0; r < size_; ++r) {
    Record found{};
    if (::pread(file, &found, sizeof found, r * kStride) != static_cast<ssize_t>(sizeof found)) continue;
    Seen& s = seen_[static_cast<size_t>(r)];
    s.unchanged = found.beats == s.beats ? s.unchanged + 1 : 0;
    s.beats = found.beats;
    s.step = found.step;
  }
  ::close(file);
}

int Heartbeats::silent_rank(double at_least_s) const noexcept {
  for (int r = 0; r < size_; ++r) {
    const Seen& s = seen_[static_cast<size_t>(r)];
    if (r != rank_ && s.beats > 0 && static_cast<double>(s.unchanged) * every_s_ >= at_least_s) return r;
  }
  return -1;
}

size_t Heartbeats::describe(char* text, size_t n, double at_least_s) const noexcept {
  size_t used = 0;
  const auto add = [&](const char* format, auto... values) {
    if (used + 1 >= n) return;
    const int length = std::snprintf(text + used, n - used, format, values...);
    used = std::min(n - 1, used + static_cast<size_t>(std::max(length, 0)));
  };
  // Names those ranks for which `counts` holds, 16 at most; returns how many there are.
  const auto name = [&](const char* separator, auto counts) {
    int found = 0;
    for (int r = 0; r < size_; ++r) {
      if (r == rank_ || seen_[static_cast<size_t>(r)].beats == 0 || !counts(seen_[static_cast<size_t>(r)])) continue;
      if (++found > 16) continue;
      if (found == 1)
        add("%srank %d", separator, r);
      else
        add(", %d", r);
    }
    if (found > 16) add(" and %d more", found - 16);
    return found;
  };
  double silence_s = 0;  // of the one that is silent for longest
  const auto silent = [&](const Seen& s) {
    const double here_s = static_cast<double>(s.unchanged) * every_s_;
    if (here_s >= at_least_s) silence_s = std::max(silence_s, here_s);
    return here_s >= at_least_s;
  };
  const int n_silent = name("", silent);
  if (n_silent > 0) add(": no sign of life for %.0f s", silence_s);
  const int64_t step = step_;
  if (name(n_silent > 0 ? "; " : "", [&](const Seen& s) { return !silent(s) && s.step > 0 && s.step < step; }) > 0)
    add(" in an earlier step");
  return used;
}

}  // namespace rk
