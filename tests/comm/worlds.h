// The groups that the tests of this folder run in: a world of one and worlds of threads, or, under mpirun, the MPI world; and, where every
// rank has a GPU of its own, the same ranks over NCCL.
#pragma once
#include <functional>
#include <string>

#include "comm/comm.h"
#include "device/buffer.h"
#include "device/gpu.h"

namespace rk::test {

// Calls body(comm) on every rank of every world there is.
void for_each_world(const std::function<void(Comm&)>& body);

// The GPU of a communicator over NCCL; null for others.
Gpu* gpu_of(const Comm& comm);

// n elements of `dtype`, element i being the small integer value(i): exact in every dtype. They lie where collectives of `comm` are at
// home: in memory of the GPU for NCCL.
class Payload {
 public:
  Payload(const Comm& comm, DType dtype, int64_t n);
  Tensor tensor() { return tensor_; }
  Tensor slice(int64_t first, int64_t n) { return tensor_.slice(first, n); }
  void fill(const std::function<int64_t(int64_t)>& value);
  void fetch();  // what the GPU's stream has made of it, for at()
  int64_t at(int64_t i) const;

 private:
  Gpu* gpu_;
  Buffer on_host_, on_gpu_;
  Tensor host_, tensor_;
};

// Expects element i to be value(i), for all of them; names the first that is not.
void expect_values(Payload& x, int64_t n, const std::function<int64_t(int64_t)>& value, const std::string& what);

}  // namespace rk::test
