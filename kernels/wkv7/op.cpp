#include "kernels/wkv7/op.h"

#include "kernels/common/cpu_parallel.h"
#include "kernels/common/dispatch.h"
#include "kernels/common/resets.h"
#include "kernels/wkv7/chunked_cuda.h"

namespace rk {
namespace cpu {
int64_t wkv7_forward_scratch(int64_t N);                // elements per thread
int64_t wkv7_backward_scratch(int64_t N, bool resets);  // elements per thread
void run(const Exec& ex, const Wkv7Forward& a, const Tensor& scratch);
void run(const Exec& ex, const Wkv7Backward& a, const Tensor& scratch);
}  // namespace cpu
namespace cuda {
void run(const Exec& ex, const Wkv7Forward& a);
void run(const Exec& ex, const Wkv7Backward& a);
}  // namespace cuda

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

// What saved states are: S before every kWkv7Chunk positions in the accumulation dtype, or the form of the chunked kernels.
struct SavedForm {
  DType dtype;
  Shape shape;
  SavedForm(const Exec& ex, DType model, const Sizes& s) {
    if (cuda::wkv7::works_in_chunks(ex, model, s.N)) {
      dtype = DType::f16;
      shape = {cuda::wkv7::saved_numbers(s.B * s.H * cuda::wkv7::n_chunks(s.T))};
    } else {
      dtype = acc_dtype(model);
      shape = {s.B * s.H, (s.T + kWkv7Chunk - 1) / kWkv7Chunk, s.N, s.N};
    }
  }
  bool is(const Tensor& t) const { return t.numel() == shape.numel() && t.dtype == dtype; }
};

// Least traffic: inputs and outputs once, and saved states. Products of the recurrence itself.
double least_bytes(const Tensor& x, int n_sequences, const Tensor& saved) {
  return static_cast<double>(n_sequences) * static_cast<double>(x.n_bytes()) +
         (saved.shape.rank > 0 ? static_cast<double>(saved.n_bytes()) : 0.0);
}
double flops(const Sizes& s, double per_state_element) {
  return per_state_element * static_cast<double>(s.B * s.T * s.H) * static_cast<double>(s.N * s.N);
}

}  // namespace

Tensor take_wkv7_saved(const Exec& ex, Arena& arena, DType dtype, const Shape& shape) {
  const SavedForm form(ex, dtype, Sizes(shape));
  return arena.take(form.dtype, form.shape);
}

void run(const Exec& ex, const Wkv7Forward& a) {
  const Sizes s(a.r.shape);
  const DType sum = acc_dtype(a.r.dtype);
  check_sequences({&a.w, &a.k, &a.v, &a.a, &a.b, &a.y}, a.r);
  check_state(a.state_in, s.B * s.H * s.N * s.N, sum);
  check_state(a.state_out, s.B * s.H * s.N * s.N, sum);
  check_resets(a.resets, s.B, s.T);
  require(!a.saved_states || SavedForm(ex, a.r.dtype, s).is(a.saved_states), "saved states come from take_wkv7_saved");
  const OpScope watched(ex, "wkv7", least_bytes(a.r, 7, a.saved_states), flops(s, 8), {s.B, s.H, s.T});
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
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
  check_resets(a.resets, s.B, s.T);
  require(SavedForm(ex, a.r.dtype, s).is(a.saved_states), "backward reads the states that forward saved");
  const OpScope watched(ex, "wkv7_backward", least_bytes(a.r, 13, a.saved_states), flops(s, 24), {s.B, s.H, s.T});
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  ArenaScope scope(*ex.scratch);
  const Tensor scratch = ex.scratch->take(sum, {cpu::n_threads(ex), cpu::wkv7_backward_scratch(s.N, a.resets.shape.rank > 0)});
  if (ex.dry()) return;
  cpu::run(ex, a, scratch);
}

}  // namespace rk
