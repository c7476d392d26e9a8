// Files of weights from checkpoint folders, written by a thread of their own while training goes on.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace rk {

// The weights in the type that the run trains in, in the order of the checkpoint, without metadata: what export_weights() would have
// written at that step. Where `give_up` becomes true, there is no such file.
void export_checkpoint(const std::string& folder, const std::string& path, const std::atomic<bool>& give_up = false);

// One caller.
class BackgroundExport {
 public:
  BackgroundExport() = default;
  BackgroundExport(const BackgroundExport&) = delete;
  BackgroundExport& operator=(const BackgroundExport&) = delete;
  ~BackgroundExport();  // gives up what is not complete

  void add(int64_t step, const std::string& folder, const std::string& path);
  // Steps whose folders are being read or will be.
  std::set<int64_t> in_use();
  // A sentence for each file that is complete or has failed since the last call.
  std::vector<std::string> news();
  void wait();

 private:
  struct Job {
    int64_t step;
    std::string folder, path;
  };
  void work();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> jobs_;  // the first is in work
  std::vector<std::string> news_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace rk
