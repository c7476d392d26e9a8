// A group of ranks and its collectives.
//
// Every rank issues the same collectives in the same order. Sums run in rank order with sums of bf16 held in fp32, so that equal inputs
// give equal bits on every rank and in every run, whatever arrives first; sums of GPUs' tensors are NCCL's: the same bits on every rank, in
// an order that its algorithm has. A world of one is a real communicator that copies; callers never ask for the size to skip a call. Steady
// use does not allocate after the first collective of a given size.
#pragma once
#include <memory>
#include <string>

#include "comm/pending.h"
#include "comm/ticket.h"
#include "device/tensor.h"

namespace rk {

enum class Reduce : uint8_t { sum, max };

class Comm {
 public:
  virtual ~Comm() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual const char* backend() const = 0;  // "self", "threads", "mpi", "nccl"

  // Non-blocking; dtypes f64, f32, bf16, i64, i32 (and u8 for all_gather and broadcast; f16 on a GPU). Counts may exceed 2^31.
  // x [n] in place.
  virtual Ticket all_reduce(Tensor x, Reduce op) = 0;
  // in [size * n] -> out [n] = sum over ranks of in[rank * n, (rank + 1) * n). out may be that very slice of in.
  virtual Ticket reduce_scatter(Tensor in, Tensor out) = 0;
  // in [n] -> out [size * n] in rank order. in may be out's own slice.
  virtual Ticket all_gather(Tensor in, Tensor out) = 0;
  // in [size * n] -> out [size * n]: slice r of `in` goes to rank r, slice r of `out` has come from it. They do not overlap.
  virtual Ticket all_to_all(Tensor in, Tensor out) = 0;
  // x [n] from `root` to all.
  virtual Ticket broadcast(Tensor x, int root) = 0;
  virtual void barrier() = 0;
  // The stream on which collectives of a GPU's tensors run; what it is made to wait for, later collectives wait for. Null on the host.
  virtual CUstream_st* stream() const { return nullptr; }
  // Ranks with the same color form a group, ordered by rank.
  virtual std::unique_ptr<Comm> split(int color) = 0;
  // The same ranks once more, for one use (a string literal, named when it hangs): collectives of different communicators are not ordered
  // among each other. On a GPU each has a stream of its own.
  // Tells of GPU memory that lies alike on all ranks (a whole allocation, of one size), in which all_gather will be asked for, and of a
  // part of it, the inbox, that reduce_scatter may use: at least size - 1 times its out. GPUs that reach each other's memory then need no
  // multiprocessors for either. Collective, once.
  virtual void share(const Tensor& /*memory*/, const Tensor& /*inbox*/) {}
  virtual std::unique_ptr<Comm> twin(const char* /*use*/) { return split(0); }
  // The communicator of the same ranks that carries tensors of the host.
  virtual Comm& host() { return *this; }
  // What collectives wait for on a GPU, for the Watchdog; null where there is nothing to tell. Lives as long as the communicator.
  virtual const Pending* pending() const { return nullptr; }
  // An error is on its way out: collectives on the GPU, of all twins and groups too, are ended wherever they are, so that memory can be
  // given back. What they were to bring is lost, and no other may be started.
  virtual void give_up() {}
  // Ends all ranks of the job at once with `code`; used for an error that only this rank has.
  [[noreturn]] virtual void abort(int code) = 0;

 protected:
  friend class Ticket;
  virtual void wait(uint64_t id) = 0;
  virtual void wait_on(uint64_t id, CUstream_st* /*stream*/) { wait(id); }
};

inline void Ticket::wait() {
  if (comm_) comm_->wait(id_);
  comm_ = nullptr;
}
inline void Ticket::wait_on(CUstream_st* stream) const {
  if (comm_) comm_->wait_on(id_, stream);
}

}  // namespace rk
