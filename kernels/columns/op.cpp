#include "kernels/columns/op.h"

#include "kernels/common/dispatch.h"

namespace rk {
namespace cpu {
void run(const Exec& ex, const SplitColumns& a);
void run(const Exec& ex, const JoinColumns& a);
}  // namespace cpu
namespace cuda {
void run(const Exec& ex, const SplitColumns& a);
void run(const Exec& ex, const JoinColumns& a);
}  // namespace cuda

namespace {

template <class Args>
void check_and_run(const Exec& ex, const Args& a, const char* name) {
  require(a.parts.shape.rank == 3, "parts are [n,R,M]");
  require(a.whole.numel() == a.parts.numel() && a.whole.dtype == a.parts.dtype, "columns and their parts have one size and type");
  const OpScope watched(ex, name, static_cast<double>(2 * a.whole.n_bytes()));
  if (ex.dry()) return;
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  cpu::run(ex, a);
}

}  // namespace

void run(const Exec& ex, const SplitColumns& a) { check_and_run(ex, a, "split_columns"); }

void run(const Exec& ex, const JoinColumns& a) { check_and_run(ex, a, "join_columns"); }

}  // namespace rk
