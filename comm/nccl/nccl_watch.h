// Looks after the NCCL communicators of one process: a thread asks NCCL for errors that no call returns, and whoever finds the process
// stuck can ask what it waits for.
#pragma once
#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "comm/nccl/check_nccl.h"
#include "comm/nccl/peer_copies.h"
#include "comm/nccl/progress.h"
#include "comm/pending.h"

namespace rk {

// An asynchronous error (a peer that is gone, a broken network) is printed and ends the process at once with exit code 1; mpirun or srun
// ends the other ranks. The collectives are not aborted first: that would hand sums that are none to the rest of the process while it ends.
class NcclWatch final : public Pending {
 public:
  explicit NcclWatch(int rank);  // for messages
  NcclWatch(const NcclWatch&) = delete;
  NcclWatch& operator=(const NcclWatch&) = delete;
  ~NcclWatch() override;

  Progress& add(ncclComm_t comm, const char* use);
  // The caller destroys it, unless abort_all() has done so: false.
  bool remove(ncclComm_t comm);
  void add(PeerCopies* peers);
  void remove(PeerCopies* peers);
  // Ends every communicator.
  void abort_all();

  size_t describe(char* text, size_t n) const noexcept override;

 private:
  struct Entry {
    ncclComm_t comm = nullptr;             // guarded by mutex_
    std::unique_ptr<Progress> progress;    // kept until the entry is taken again
    std::atomic<const Progress*> shown{};  // what describe() may look at
  };

  void watch();
  void look();

  int rank_;
  std::array<Entry, 64> entries_;
  std::vector<PeerCopies*> peers_;  // guarded by mutex_
  bool stop_ = false;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread thread_;
};

}  // namespace rk
