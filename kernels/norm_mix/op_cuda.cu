// Chooses between the fused kernels (rows of whole packs that fit one block; the mixes of the families' blocks) and the two parts.
#include "kernels/common/token_weights.h"
#include "kernels/norm_mix/fused_cuda.h"
#include "kernels/norm_mix/parts.h"
#include "kernels/norm_mix/rows_cuda.cuh"

namespace rk::cuda {
namespace {

using SixTensors = std::array<Tensor, 6>;

void check_alignment(std::initializer_list<Tensor> single, std::initializer_list<const SixTensors*> by_mix) {
  bool fits = true;
  for (const Tensor& t : single) fits = fits && aligned(t.data, 16);
  for (const SixTensors* tensors : by_mix) {
    for (const Tensor& t : *tensors) fits = fits && aligned(t.data, 16);
  }
  require(fits, "rows of whole packs begin at multiples of 16 bytes");
}

template <class Args>
Weights weights_of(const Args& a) {
  return has_token_weights(a.more) ? Weights::of_token : (a.mu_of_self ? Weights::of_self : Weights::of_prev);
}

// Threads of a fused kernel; 0 where there is none for these sizes.
int fused_threads(const Tensor& x, int n, Weights weights) {
  int threads = 0;
  with_mixes(n, weights, [&]<int, Weights>() { with_dtype(x.dtype, [&]<class T>() { threads = row_threads<T>(x.shape[2]); }); });
  return threads;
}

}  // namespace

void run(const Exec& ex, const NormMixForward& a) {
  const Weights weights = weights_of(a);
  const int threads = fused_threads(a.x, a.n, weights);
  if (threads == 0) return run_in_parts(ex, a);
  check_alignment({a.x, a.weight, a.bias, a.state_in, a.state_out}, {&a.mu, &a.y, &a.more});
  // A state that is replaced in place is written when all have read it.
  const bool in_place = a.state_out && a.state_out.data == a.state_in.data;
  ArenaScope scope(*ex.scratch);
  const Tensor state = ex.scratch->take(a.x.dtype, {a.x.shape[0], a.x.shape[2]});
  if (ex.dry()) return;
  run_fused(ex, a, weights, in_place ? state : a.state_out, threads);
  if (in_place) copy(ex, state, a.state_out.view(state.shape));
}

void run(const Exec& ex, const NormMixBackward& a) {
  const Weights weights = weights_of(a);
  const int threads = fused_threads(a.x, a.n, weights);
  if (threads == 0) return run_in_parts(ex, a);
  check_alignment({a.x, a.weight, a.bias, a.state_in, a.dx, a.dstate_in, a.dstate_out}, {&a.mu, &a.dy, &a.more, &a.dmore});
  const int64_t C = a.x.shape[2], n_strips = n_backward_strips(a.x.shape[0] * a.x.shape[1], threads, a.n);
  ArenaScope scope(*ex.scratch);
  const Tensor partial = ex.scratch->take(DType::f32, {n_strips, a.n + 2, C});
  Tensor edges;
  if (weights == Weights::of_token) edges = ex.scratch->take(DType::f32, {n_strips, C});
  if (ex.dry()) return;
  run_fused(ex, a, weights, partial, edges, threads);
}

}  // namespace rk::cuda
