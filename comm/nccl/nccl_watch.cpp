#ifdef ROOKERY_NCCL
#include "comm/nccl/nccl_watch.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace rk {
namespace {

constexpr auto kLookEvery = std::chrono::milliseconds(250);

[[noreturn]] void leave(int rank, ncclComm_t comm, ncclResult_t error, const Progress& progress) {
  char at[256] = "no collective is under way", text[1024];
  progress.describe(at, sizeof at);
  const int n =
      std::snprintf(text, sizeof text,
                    "[rank %d] NCCL: %s (%s) among the ranks that exchange %s: %s. Another rank or the network between them has "
                    "failed; leaving with exit code %d, resume from the newest checkpoint\n",
                    rank, ncclGetErrorString(error), ncclGetLastError(comm), progress.use(), at, static_cast<int>(ExitCode::failure));
  const ssize_t written = write(STDERR_FILENO, text, static_cast<size_t>(std::clamp(n, 0, static_cast<int>(sizeof text) - 1)));
  (void)written;  // there is no one left to tell
  _exit(static_cast<int>(ExitCode::failure));
}

}  // namespace

NcclWatch::NcclWatch(int rank) : rank_(rank), thread_([this] { watch(); }) {}

NcclWatch::~NcclWatch() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

Progress& NcclWatch::add(ncclComm_t comm, const char* use) {
  const std::lock_guard lock(mutex_);
  const auto entry = std::find_if(entries_.begin(), entries_.end(), [](const Entry& e) { return !e.comm; });
  require(entry != entries_.end(), "a process has at most 64 communicators");
  entry->shown = nullptr;
  entry->progress = std::make_unique<Progress>(use);
  entry->shown = entry->progress.get();
  entry->comm = comm;
  return *entry->progress;
}

bool NcclWatch::remove(ncclComm_t comm) {
  const std::lock_guard lock(mutex_);
  for (Entry& e : entries_) {
    if (e.comm != comm) continue;
    e.shown = nullptr;
    e.comm = nullptr;
    return true;
  }
  return false;
}

void NcclWatch::add(PeerCopies* peers) {
  const std::lock_guard lock(mutex_);
  peers_.push_back(peers);
}
void NcclWatch::remove(PeerCopies* peers) {
  const std::lock_guard lock(mutex_);
  std::erase(peers_, peers);
}

void NcclWatch::abort_all() {
  const std::lock_guard lock(mutex_);
  for (PeerCopies* p : peers_) p->give_up();
  for (Entry& e : entries_) {
    if (e.comm) ncclCommAbort(e.comm);  // not checked: an error is being reported already
    e.shown = nullptr;
    e.comm = nullptr;
  }
}

size_t NcclWatch::describe(char* text, size_t n) const noexcept {
  size_t used = 0;
  for (const Entry& e : entries_) {
    const Progress* p = e.shown.load();
    if (!p) continue;
    const size_t gap = used ? 2 : 0;
    if (used + gap + 1 >= n) break;
    const size_t length = p->describe(text + used + gap, n - used - gap);
    if (length == 0) continue;
    if (gap) text[used] = ';', text[used + 1] = ' ';
    used += gap + length;
  }
  return used;
}

void NcclWatch::watch() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, kLookEvery, [this] { return stop_; })) look();
}

void NcclWatch::look() {
  for (const Entry& e : entries_) {
    if (!e.comm) continue;
    ncclResult_t error = ncclSuccess;
    const ncclResult_t asked = ncclCommGetAsyncError(e.comm, &error);
    if (asked != ncclSuccess) error = asked;
    if (error != ncclSuccess && error != ncclInProgress) leave(rank_, e.comm, error, *e.progress);
  }
}

}  // namespace rk
#endif
