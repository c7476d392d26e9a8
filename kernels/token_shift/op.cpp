#include "kernels/token_shift/op.h"

#include "kernels/common/cpu_parallel.h"
#include "kernels/common/dispatch.h"
#include "kernels/common/resets.h"

namespace rk {
namespace cpu {
void run(const Exec& ex, const TokenShiftForward& a);
void run(const Exec& ex, const TokenShiftBackward& a, const Tensor& partial);
}  // namespace cpu
namespace cuda {
void run(const Exec& ex, const TokenShiftForward& a);
void run(const Exec& ex, const TokenShiftBackward& a);
}  // namespace cuda

namespace {

// Of all mixes or of none; in a dry run, too.
bool has_more(const std::array<Tensor, 6>& more) { return more[0].shape.rank > 0; }

void check_more(const Tensor& x, const std::array<Tensor, 6>& more, int n, bool mu_of_self) {
  for (size_t m = 0; m < 6; ++m) {
    const bool wanted = has_more(more) && m < static_cast<size_t>(n);
    require((more[m].shape.rank > 0) == wanted, "all mixes have a part of their weight that depends on the token, or none has");
    if (wanted) require(more[m].numel() == x.numel() && more[m].dtype == x.dtype, "weights of tokens have size and type of x");
  }
  require(!(has_more(more) && mu_of_self), "weights that depend on the token are those of the row before");
}

void check_state(const Tensor& state, const Tensor& x, DType dtype) {
  if (state) require(state.numel() == x.shape[0] * x.shape[2] && state.dtype == dtype, "a shift state is one row per batch element");
}

}  // namespace

void run(const Exec& ex, const TokenShiftForward& a) {
  require(a.x.shape.rank == 3, "x is [B,T,C]");
  require(a.n >= 0 && a.n <= 6, "at most six mixes");
  for (size_t m = 0; m < static_cast<size_t>(a.n); ++m) {
    require(a.mu[m].numel() == a.x.shape[2] && a.mu[m].dtype == a.x.dtype, "a mix has one value per column, of the type of x");
    require(a.y[m].numel() == a.x.numel() && a.y[m].dtype == a.x.dtype, "a mixed tensor has size and type of x");
  }
  check_more(a.x, a.more, a.n, a.mu_of_self);
  check_state(a.state_in, a.x, a.x.dtype);
  check_state(a.state_out, a.x, a.x.dtype);
  check_resets(a.resets, a.x.shape[0], a.x.shape[1]);
  const OpScope watched(ex, "token_shift", static_cast<double>(a.x.n_bytes()) * (1 + (has_more(a.more) ? 2 : 1) * a.n));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  if (ex.dry()) return;
  cpu::run(ex, a);
}

void run(const Exec& ex, const TokenShiftBackward& a) {
  require(a.x.shape.rank == 3, "x is [B,T,C]");
  require(a.n >= 1 && a.n <= 6, "one to six mixes");
  const int64_t B = a.x.shape[0], T = a.x.shape[1], C = a.x.shape[2];
  require(a.dx.numel() == a.x.numel() && a.dx.dtype == a.x.dtype, "dx has size and type of x");
  for (size_t m = 0; m < static_cast<size_t>(a.n); ++m) {
    require(a.mu[m].numel() == C && a.mu[m].dtype == a.x.dtype, "a mix has one value per column, of the type of x");
    require(a.dy[m].numel() == a.x.numel() && a.dy[m].dtype == a.x.dtype, "a mixed tensor's gradient has size and type of x");
    require(!a.dmu[m] || a.dmu[m].numel() == C, "a mix's gradient has one value per column");
  }
  check_more(a.x, a.more, a.n, a.mu_of_self);
  check_more(a.x, a.dmore, a.n, a.mu_of_self);
  require(has_more(a.more) == has_more(a.dmore), "weights of tokens have gradients");
  check_state(a.state_in, a.x, a.x.dtype);
  check_state(a.dstate_in, a.x, acc_dtype(a.x.dtype));
  check_state(a.dstate_out, a.x, acc_dtype(a.x.dtype));
  check_resets(a.resets, B, T);
  const OpScope watched(ex, "token_shift_backward",
                        static_cast<double>(a.x.n_bytes()) * ((a.add_dx ? 3 : 2) + (has_more(a.more) ? 3 : 1) * a.n));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  ArenaScope scope(*ex.scratch);
  // Per block: the sums of dmu, then three rows of cpu::Backward.
  const Tensor partial = ex.scratch->take(acc_dtype(a.x.dtype), {cpu::RowBlocks(B * T).n, a.n + 3, C});
  if (ex.dry()) return;
  cpu::run(ex, a, partial);
}

}  // namespace rk
