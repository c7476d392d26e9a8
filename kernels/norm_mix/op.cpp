#include "kernels/norm_mix/op.h"

#include "kernels/common/dispatch.h"
#include "kernels/common/resets.h"
#include "kernels/common/token_weights.h"
#include "kernels/norm_mix/parts.h"

namespace rk {
namespace cuda {
void run(const Exec& ex, const NormMixForward& a);
void run(const Exec& ex, const NormMixBackward& a);
}  // namespace cuda

namespace {

void check_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, int n) {
  require(x.shape.rank == 3, "x is [B,T,C]");
  require(n >= 1 && n <= 6, "one to six mixes");
  const int64_t C = x.shape[2];
  require(weight.numel() == C && bias.numel() == C, "weight and bias have one value per column");
  require(weight.dtype == x.dtype && bias.dtype == x.dtype, "weight and bias have the type of x");
}

void check_mix(const Tensor& x, const Tensor& mu, const Tensor& mixed) {
  require(mu.numel() == x.shape[2] && mu.dtype == x.dtype, "a mix has one value per column, of the type of x");
  require(mixed.numel() == x.numel() && mixed.dtype == x.dtype, "a mixed tensor has size and type of x");
}

void check_state(const Tensor& state, const Tensor& x, DType dtype) {
  if (state) require(state.numel() == x.shape[0] * x.shape[2] && state.dtype == dtype, "a shift state is one row per batch element");
}

void check_sum(const Tensor& sum, const Tensor& x) {
  if (sum) require(sum.numel() == x.shape[2] && sum.dtype == acc_dtype(x.dtype), "a gradient of parameters is one sum per column");
}

}  // namespace

void run(const Exec& ex, const NormMixForward& a) {
  check_norm(a.x, a.weight, a.bias, a.n);
  for (size_t m = 0; m < static_cast<size_t>(a.n); ++m) check_mix(a.x, a.mu[m], a.y[m]);
  check_token_weights(a.x, a.more, a.n, a.mu_of_self);
  check_state(a.state_in, a.x, a.x.dtype);
  check_state(a.state_out, a.x, a.x.dtype);
  check_resets(a.resets, a.x.shape[0], a.x.shape[1]);
  const OpScope scope(ex, "norm_mix", static_cast<double>(a.x.n_bytes()) * (1 + (has_token_weights(a.more) ? 2 : 1) * a.n));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  run_in_parts(ex, a);
}

void run(const Exec& ex, const NormMixBackward& a) {
  check_norm(a.x, a.weight, a.bias, a.n);
  require(a.dx.numel() == a.x.numel() && a.dx.dtype == a.x.dtype, "dx has size and type of x");
  for (size_t m = 0; m < static_cast<size_t>(a.n); ++m) {
    check_mix(a.x, a.mu[m], a.dy[m]);
    check_sum(a.dmu[m], a.x);
  }
  check_token_weights(a.x, a.more, a.n, a.mu_of_self);
  check_token_weights(a.x, a.dmore, a.n, a.mu_of_self);
  require(has_token_weights(a.more) == has_token_weights(a.dmore), "weights of tokens have gradients");
  check_sum(a.dweight, a.x);
  check_sum(a.dbias, a.x);
  check_state(a.state_in, a.x, a.x.dtype);
  check_state(a.dstate_in, a.x, acc_dtype(a.x.dtype));
  check_state(a.dstate_out, a.x, acc_dtype(a.x.dtype));
  check_resets(a.resets, a.x.shape[0], a.x.shape[1]);
  const OpScope scope(ex, "norm_mix_backward", static_cast<double>(a.x.n_bytes()) * (3 + (has_token_weights(a.more) ? 3 : 1) * a.n));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  run_in_parts(ex, a);
}

}  // namespace rk
