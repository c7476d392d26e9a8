#include "kernels/wkv7/op.h"

#include "kernels/common/cpu_parallel.h"

namespace rk {
namespace cpu {
int64_t wkv7_forward_scratch(int64_t N);   // elements per thread
int64_t wkv7_backward_scratch(int64_t N);  // elements per thread
void run(const Exec& ex, const Wkv7Forward& a, const Tensor& scratch);
void run(const Exec& ex, const Wkv7Backward& a, const Tensor& scratch);
}  // namespace cpu

namespace {

void check_sequences(std::initializer_list<const Tensor*> tensors, const Tensor& like) {
  for (const Tensor* t : tensors) require(t->shape == like.shape && t->dtype == like.dtype, "sequences are [B,T,H,N] of one type");
}

// An optional state: n elements of the accumulation dtype.
void check_state(const Tensor& state, int64_t n, DType dtype) {
  require(!state || (state.numel() == n && state.dtype == dtype), "states are held in the accumulation dtype and have their sizes");
}

struct Sizes {
  int64_t B, T, H, N;
  explicit Sizes(const Shape& s) : B(s[0]), T(s[1]), H(s[2]), N(s[3]) {
    require(s.rank == 4 && T >= 1, "sequences are [B,T,H,N]");
    require(N % 8 == 0 && N >= 8 && N <= 256, "the head size is a multiple of 8 up to 256");
  }
};

}  // namespace

Shape wkv7_saved_shape(int64_t B, int64_t T, int64_t H, int64_t N) { return {B * H, (T + kWkv7Chunk - 1) / kWkv7Chunk, N, N}; }

Tensor take_wkv7_saved(const Exec&, Arena& arena, DType dtype, const Shape& shape) {
  return arena.take(acc_dtype(dtype), wkv7_saved_shape(shape[0], shape[1], shape[2], shape[3]));
}

void run(const Exec& ex, const Wkv7Forward& a) {
  const Sizes s(a.r.shape);
  const DType sum = acc_dtype(a.r.dtype);
  check_sequences({&a.w, &a.k, &a.v, &a.a, &a.b, &a.y}, a.r);
  check_state(a.state_in, s.B * s.H * s.N * s.N, sum);
  check_state(a.state_out, s.B * s.H * s.N * s.N, sum);
  check_state(a.saved_states, wkv7_saved_shape(s.B, s.T, s.H, s.N).numel(), sum);
  ArenaScope scope(*ex.scratch);
  const Tensor scratch = ex.scratch->take(sum, {cpu::n_threads(ex), cpu::wkv7_forward_scratch(s.N)});
  if (ex.dry()) return;
  cpu::run(ex, a, scratch);
}

void run(const Exec& ex, const Wkv7Backward& a) {
  const Sizes s(a.r.shape);
  const DType sum = acc_dtype(a.r.dtype);
  check_sequences({&a.w, &a.k, &a.v, &a.a, &a.b, &a.dy, &a.dr, &a.dw, &a.dk, &a.dv, &a.da, &a.db}, a.r);
  check_state(a.dstate_out, s.B * s.H * s.N * s.N, sum);
  check_state(a.dstate_in, s.B * s.H * s.N * s.N, sum);
  for (const Tensor* more : {&a.dr_more, &a.dk_more, &a.dv_more})
    require(!*more || (more->numel() == a.r.numel() && more->dtype == a.r.dtype), "what is added to a gradient has its size and type");
  require(a.saved_states.numel() == wkv7_saved_shape(s.B, s.T, s.H, s.N).numel() && a.saved_states.dtype == sum,
          "backward reads the states that forward saved");
  ArenaScope scope(*ex.scratch);
  const Tensor scratch = ex.scratch->take(sum, {cpu::n_threads(ex), cpu::wkv7_backward_scratch(s.N)});
  if (ex.dry()) return;
  cpu::run(ex, a, scratch);
}

}  // namespace rk
