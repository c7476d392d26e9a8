// Chooses between the fused kernels (rows of whole packs that fit one block; one mix or six) and the two parts.
#include "kernels/norm_mix/backward_cuda.cuh"
#include "kernels/norm_mix/forward_cuda.cuh"
#include "kernels/norm_mix/parts.h"

namespace rk::cuda {
namespace {

int threads_for(DType dtype, int64_t C) {
  int threads = 0;
  with_dtype(dtype, [&]<class T>() { threads = row_threads<T>(C); });
  return threads;
}

void check_alignment(std::initializer_list<Tensor> single, const std::array<Tensor, 6>& mu, const std::array<Tensor, 6>& mixed, int n) {
  bool fits = true;
  for (const Tensor& t : single) fits = fits && aligned(t.data, 16);
  for (size_t m = 0; m < static_cast<size_t>(n); ++m) fits = fits && aligned(mu[m].data, 16) && aligned(mixed[m].data, 16);
  require(fits, "rows of whole packs begin at multiples of 16 bytes");
}

// Threads of a fused kernel; 0 where there is none for these sizes.
int fused_threads(const Tensor& x, int n) { return n == 1 || n == 6 ? threads_for(x.dtype, x.shape[2]) : 0; }

}  // namespace

void run(const Exec& ex, const NormMixForward& a) {
  const int threads = fused_threads(a.x, a.n);
  if (threads == 0) return run_in_parts(ex, a);
  check_alignment({a.x, a.weight, a.bias, a.state_in, a.state_out}, a.mu, a.y, a.n);
  // A state that is replaced in place is written when all have read it.
  const bool in_place = a.state_out && a.state_out.data == a.state_in.data;
  ArenaScope scope(*ex.scratch);
  const Tensor state = ex.scratch->take(a.x.dtype, {a.x.shape[0], a.x.shape[2]});
  if (ex.dry()) return;
  const Tensor& to = in_place ? state : a.state_out;
  with_dtype(a.x.dtype, [&]<class T>() { (a.n == 1 ? run_forward<T, 1> : run_forward<T, 6>)(ex, a, to, threads); });
  if (in_place) copy(ex, state, a.state_out.view(state.shape));
}

void run(const Exec& ex, const NormMixBackward& a) {
  const int threads = fused_threads(a.x, a.n);
  if (threads == 0) return run_in_parts(ex, a);
  check_alignment({a.x, a.weight, a.bias, a.state_in, a.dx, a.dstate_in, a.dstate_out}, a.mu, a.dy, a.n);
  const int64_t n_strips = n_backward_strips(a.x.shape[0] * a.x.shape[1], threads, a.n);
  ArenaScope scope(*ex.scratch);
  const Tensor partial = ex.scratch->take(DType::f32, {n_strips, a.n + 2, a.x.shape[2]});
  if (ex.dry()) return;
  with_dtype(a.x.dtype, [&]<class T>() {
    (a.n == 1 ? run_backward<T, 1> : run_backward<T, 6>)(ex, a, partial.as<float>(), threads, static_cast<int>(n_strips));
  });
}

}  // namespace rk::cuda
