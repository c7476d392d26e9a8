// Collectives of GPU tensors over NCCL, beside a communicator of the same ranks for everything else. Sums are NCCL's: the same bits on
// every rank, but not in rank order.
#pragma once
#include <cstdlib>
#include <deque>

#include "comm/chunking.h"
#include "comm/comm.h"
#include "comm/nccl/nccl_watch.h"
#include "comm/nccl/peer_copies.h"
#include "device/gpu.h"

namespace rk {

// The most elements of one call of NCCL. Tests lower it.
inline constexpr size_t kMaxNcclElements = INT_MAX;

class NcclComm final : public Comm {
 public:
  struct Setting {
    Gpu& gpu;
    size_t max_elements = kMaxNcclElements;
    std::shared_ptr<NcclWatch> watch;  // of all communicators of one make_gpu_comm()
  };
  // `use`: a string literal. Collective over the ranks of `host`.
  NcclComm(std::unique_ptr<Comm> host, Setting setting, const char* use);
  NcclComm(const NcclComm&) = delete;
  NcclComm& operator=(const NcclComm&) = delete;
  ~NcclComm() override;

  int rank() const override { return host_->rank(); }
  int size() const override { return host_->size(); }
  const char* backend() const override { return "nccl"; }

  Ticket all_reduce(Tensor x, Reduce op) override;
  Ticket reduce_scatter(Tensor in, Tensor out) override;
  Ticket all_gather(Tensor in, Tensor out) override;
  Ticket all_to_all(Tensor in, Tensor out) override;
  Ticket broadcast(Tensor x, int root) override;
  void barrier() override { host_->barrier(); }
  CUstream_st* stream() const override { return side_.stream(); }
  void share(const Tensor& memory, const Tensor& inbox) override;
  std::unique_ptr<Comm> split(int color) override;
  std::unique_ptr<Comm> twin(const char* use) override;
  Comm& host() override { return host_->host(); }
  const Pending* pending() const override { return setting_.watch.get(); }
  void give_up() override { setting_.watch->abort_all(); }
  [[noreturn]] void abort(int code) override {
    host_->abort(code);
    std::_Exit(code);
  }

 protected:
  void wait(uint64_t id) override;
  void wait_on(uint64_t id, CUstream_st* stream) override;

 private:
  template <class Call>
  Ticket queue(Collective what, size_t n_bytes, const Call& call);
  bool fits(size_t n) const { return n <= setting_.max_elements; }

  std::unique_ptr<Comm> host_;
  Setting setting_;
  int exceptions_;  // in flight when this was made
  GpuStream side_;
  GpuEvent ready_{GpuEvent::Use::order};  // what the Gpu's stream has done when a collective may begin
  std::deque<GpuEvent> done_;             // of collective number i at i % size
  ncclComm_t comm_ = nullptr;
  Progress* progress_ = nullptr;
  std::unique_ptr<PeerCopies> peers_;  // null: NCCL's kernels do everything
};

// As make_gpu_comm(host, gpu), with calls of at most max_elements.
std::unique_ptr<Comm> make_gpu_comm(std::unique_ptr<Comm> host, Gpu& gpu, size_t max_elements);

}  // namespace rk
