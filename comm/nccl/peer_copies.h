// Collectives among GPUs of one host that reach each other's memory: slices travel by copy engines and are added up by a short kernel where
// they arrive. NCCL's kernels hold multiprocessors for as long as data travels, which makes matrix products beside them a third slower;
// copies hold none. Sums are in rank order, bf16 in fp32 with one rounding, as everywhere else.
#pragma once
#include <memory>

#include "comm/comm.h"
#include "device/gpu.h"

namespace rk {

class PeerCopies {
 public:
  virtual ~PeerCopies() = default;

  // Memory that lies alike on all ranks: a whole allocation of the GPU, of one size everywhere. inbox: a part of it that reductions may use
  // while they run. Collective; once for each communicator.
  virtual void share(const Tensor& memory, const Tensor& inbox) = 0;
  // Whether all_gather() can write `out` on all ranks; whether reduce_scatter()'s parts of out's size fit into the inbox.
  virtual bool gathers(const Tensor& out) const = 0;
  virtual bool reduces(const Tensor& out) const = 0;
  // As Comm's, on that stream. Every rank calls them in one order, with tensors at the same places of the shared memory.
  virtual void all_gather(const Tensor& in, const Tensor& out, CUstream_st* stream) = 0;
  virtual void reduce_scatter(const Tensor& in, const Tensor& out, CUstream_st* stream) = 0;
  // Lets go of everything that waits for other ranks; what it was to bring is lost. From any thread.
  virtual void give_up() = 0;
};

// Null where the ranks of `host` do not all reach each other: on several hosts, without links between the GPUs, or where NCCL's own direct
// access is switched off (NCCL_P2P_DISABLE). Collective; the same answer on all ranks.
std::unique_ptr<PeerCopies> connect_peers(Comm& host, const Gpu& gpu);

}  // namespace rk
