// The groups that the tests of this folder run in: a world of one and worlds of threads, or, under mpirun, the MPI world.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "comm/comm.h"

namespace rk::test {

// Calls body(comm) on every rank of every world there is.
void for_each_world(const std::function<void(Comm&)>& body);

// n elements of `dtype`, element i being the small integer value(i): exact in every dtype.
class Payload {
 public:
  Payload(DType dtype, int64_t n);
  Tensor tensor() { return tensor_; }
  Tensor slice(int64_t first, int64_t n) { return tensor_.slice(first, n); }
  void fill(const std::function<int64_t(int64_t)>& value);
  int64_t at(int64_t i) const;

 private:
  std::vector<std::byte> bytes_;
  Tensor tensor_;
};

// Expects element i to be value(i), for all of them; names the first that is not.
void expect_values(const Payload& x, int64_t n, const std::function<int64_t(int64_t)>& value, const std::string& what);

}  // namespace rk::test
