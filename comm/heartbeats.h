// Signs of life of all ranks, in one small file of a folder that all of them see. Where a rank is stopped, or its host is gone, nothing
// tells the others: MPI and NCCL wait. A thread of each rank writes its record every two seconds, whatever the rank's other threads do, and
// reads those of the others while someone has a reason to ask.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace rk {

class Heartbeats {
 public:
  // Rank 0 makes the file anew, for which the others wait with theirs, and removes it at the end. A file that cannot be written is no error: then nobody is said to be silent.
  Heartbeats(std::string path, int rank, int size, double every_s = 2);
  Heartbeats(const Heartbeats&) = delete;
  Heartbeats& operator=(const Heartbeats&) = delete;
  ~Heartbeats();

  // Where this rank is. Cheap.
  void at(int64_t step) { step_.store(step, std::memory_order_relaxed); }
  // Whether the records of the others are read. Silence counts from here on.
  void watch(bool others) { watching_.store(others, std::memory_order_relaxed); }
  // A rank that was seen alive and whose record has not changed for so long, as counted by reads that worked, else -1. For a watching
  // thread: no lock, no heap.
  int silent_rank(double at_least_s) const noexcept;
  // "ranks 2, 3 have been silent for 24 s; rank 5 is still in step 6": writes at most n bytes, returns the length; 0: nothing to tell.
  // Under the same conditions.
  size_t describe(char* text, size_t n, double at_least_s) const noexcept;

 private:
  // What is known of a rank.
  struct Seen {
    std::atomic<uint64_t> beats{0};
    std::atomic<int64_t> step{0};
    std::atomic<int64_t> unchanged{0};  // reads since the last change
  };
  void run();
  void write_own();
  void read_others();

  std::string path_;
  int rank_, size_;
  double every_s_;
  std::atomic<int64_t> step_{0};
  std::atomic<bool> watching_{false};
  uint64_t beats_ = 0;
  std::unique_ptr<Seen[]> seen_;
  bool stop_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread thread_;
};

}  // namespace rk
