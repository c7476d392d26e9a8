// Collectives over MPI. Data travels by point-to-point messages of bytes; sums are formed here, in rank order, once the parts of
// all ranks are there. So results do not depend on MPI's algorithms, and MPI's own reductions and datatypes are not used.
#pragma once
#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <vector>

#include "comm/chunking.h"
#include "comm/comm.h"
#include "comm/mpi/check_mpi.h"
#include "device/buffer.h"

namespace rk {

class MpiComm;

// Moves every group of one world forward, so that a rank that waits on one group never holds up another. Tells a watching thread with
// which ranks the oldest collective has not exchanged its messages.
class MpiProgress final : public Pending {
 public:
  void add(MpiComm* comm);
  void remove(MpiComm* comm);
  bool advance();  // whether anything completed
  size_t describe(char* text, size_t n) const noexcept override;

  uint64_t next_order() { return ++order_; }
  void waited(double seconds) { waited_s_ += seconds; }
  double waited_s() const { return waited_s_; }  // by this rank, in all groups

 private:
  static constexpr size_t kShown = 64;  // groups that describe() looks at
  std::vector<MpiComm*> comms_;
  std::array<std::atomic<const MpiComm*>, kShown> shown_{};
  uint64_t order_ = 0;
  double waited_s_ = 0;
};

class MpiComm final : public Comm {
 public:
  // Takes over `handle`. Messages hold at most max_message_bytes.
  MpiComm(MPI_Comm handle, size_t max_message_bytes, std::shared_ptr<MpiProgress> progress);
  MpiComm(const MpiComm&) = delete;
  MpiComm& operator=(const MpiComm&) = delete;
  ~MpiComm() override;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  const char* backend() const override { return "mpi"; }
  int local_rank() const { return local_rank_; }
  int local_size() const { return local_size_; }

  Ticket all_reduce(Tensor x, Reduce op) override;
  Ticket reduce_scatter(Tensor in, Tensor out) override;
  Ticket all_gather(Tensor in, Tensor out) override;
  Ticket all_to_all(Tensor in, Tensor out) override;
  Ticket broadcast(Tensor x, int root) override;
  void barrier() override;
  std::unique_ptr<Comm> split(int color) override;
  [[noreturn]] void abort(int code) override;
  const Pending* pending() const override { return progress_.get(); }
  double waited_s() const { return progress_->waited_s(); }
  // The oldest collective that is under way: when it was issued among those of all groups, and in words; 0: there is none. For a watching
  // thread, as Pending says.
  uint64_t oldest() const noexcept;
  size_t describe(char* text, size_t n) const noexcept;

  // Moves this group's collectives forward in issue order; whether any completed.
  bool advance();

 protected:
  void wait(uint64_t id) override;

 private:
  // What remains to be done when the messages in flight have arrived.
  enum class Then : uint8_t { nothing, sum, sum_and_gather };
  struct Operation {
    uint64_t id = 0;
    Then then = Then::nothing;
    Reduce op = Reduce::sum;
    const std::byte* own = nullptr;  // this rank's part of the sum
    Tensor out{};                    // where the sum goes
    Tensor whole{};                  // sum_and_gather: out is this rank's slice of it
    bool busy = false;
    Buffer staging;  // parts of the other ranks, in rank order
    std::vector<MPI_Request> requests;
    std::vector<int> peers;  // of each request; -1 where there is no single one
    int active = 0;          // requests that are not complete
    // For a watching thread: what it is, and how many messages from and to each rank are not through.
    std::atomic<const char*> kind{""};
    std::atomic<size_t> n_bytes{0};
    std::atomic<uint64_t> order{0};
    std::unique_ptr<std::atomic<int>[]> open;
  };

  Operation& start(const char* kind, size_t n_bytes, size_t staging_bytes);
  MPI_Request* add_request(Operation& op, int peer);
  Ticket started(Operation& op);
  void send(Operation& op, int phase, int to, const std::byte* data, size_t n_bytes);
  void receive(Operation& op, int phase, int from, std::byte* data, size_t n_bytes);
  void exchange_slices(Operation& op, const Tensor& whole);  // own slice cut for each rank -> staging
  void gather_slices(Operation& op, const Tensor& whole);    // each rank's slice of `whole` -> all of it
  bool messages_done(Operation& op);                         // of the phase; notes those that have come
  void show_oldest() { oldest_.store(pending_.empty() ? nullptr : pending_.front(), std::memory_order_release); }
  bool finish_phase(Operation& op);  // whether the operation is complete
  void sum_parts(Operation& op);
  void wait_for_all();
  bool pending(uint64_t id) const;
  int tag(const Operation& op, int phase) const;

  MPI_Comm comm_;
  size_t max_message_bytes_;
  std::shared_ptr<MpiProgress> progress_;
  int rank_ = 0, size_ = 1, local_rank_ = 0, local_size_ = 1;
  uint64_t last_id_ = 0;
  std::deque<Operation> operations_;  // a pool; references stay valid
  std::vector<Operation*> pending_;   // in issue order
  std::vector<const void*> parts_;
  std::vector<int> completed_;                     // indices of requests
  std::vector<int> world_ranks_;                   // of the group's ranks
  std::atomic<const Operation*> oldest_{nullptr};  // for a watching thread
};

// The world, with messages of at most max_message_bytes; initialises MPI if need be.
std::unique_ptr<Comm> make_mpi_comm(size_t max_message_bytes);

}  // namespace rk
