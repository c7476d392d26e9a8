// A world of one.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "comm/backends.h"
#include "comm/collective_args.h"

namespace rk {
namespace {

class SelfComm final : public Comm {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  const char* backend() const override { return "self"; }

  Ticket all_reduce(Tensor, Reduce) override { return {}; }
  Ticket reduce_scatter(Tensor in, Tensor out) override {
    check_reduce_scatter(in, out, 1);
    return copy(in, out);
  }
  Ticket all_gather(Tensor in, Tensor out) override {
    check_all_gather(in, out, 1);
    return copy(in, out);
  }
  Ticket broadcast(Tensor, int root) override {
    require(root == 0, "the root is a rank of the group");
    return {};
  }
  void barrier() override {}
  std::unique_ptr<Comm> split(int) override { return make_self_comm(); }
  [[noreturn]] void abort(int code) override {
    std::fflush(nullptr);
    std::_Exit(code);
  }

 protected:
  void wait(uint64_t) override {}

 private:
  static Ticket copy(const Tensor& in, const Tensor& out) {
    if (in.data != out.data && in.n_bytes() > 0) std::memcpy(out.data, in.data, in.n_bytes());
    return {};
  }
};

}  // namespace

std::unique_ptr<Comm> make_self_comm() { return std::make_unique<SelfComm>(); }

}  // namespace rk
