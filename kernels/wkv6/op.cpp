#include "kernels/wkv6/op.h"

#include "kernels/common/cpu_parallel.h"
#include "kernels/common/dispatch.h"
#include "kernels/common/resets.h"
#include "kernels/wkv6/chunked_cuda.h"

namespace rk {
namespace cpu {
int64_t wkv6_forward_scratch(int64_t N);   // elements per thread
int64_t wkv6_backward_scratch(int64_t N);  // elements per thread
void run(const Exec& ex, const Wkv6Forward& a, const Tensor& scratch);
void run(const Exec& ex, const Wkv6Backward& a, const Tensor& scratch, const Tensor& sums);
}  // namespace cpu
namespace cuda {
void run(const Exec& ex, const Wkv6Forward& a);
void run(const Exec& ex, const Wkv6Backward& a);
}  // namespace cuda

namespace {

void check_sequences(std::initializer_list<const Tensor*> tensors, const Tensor& like) {
  for (const Tensor* t : tensors) require(t->shape == like.shape && t->dtype == like.dtype, "sequences are [B,T,H,N] of one type");
}
// An optional state or sum: n elements of the accumulation dtype.
void check_sum(const Tensor& t, int64_t n, DType dtype) {
  require(!t || (t.numel() == n && t.dtype == dtype),
          "states and gradients of parameters are held in the accumulation dtype and have their sizes");
}

struct Sizes {
  int64_t B, T, H, N;
  explicit Sizes(const Shape& s) : B(s[0]), T(s[1]), H(s[2]), N(s[3]) {
    require(s.rank == 4 && T >= 1, "sequences are [B,T,H,N]");
    require(N % 8 == 0 && N >= 8 && N <= 256, "the head size is a multiple of 8 up to 256");
  }
  int64_t state() const { return B * H * N * N; }
};

void check_parameters(const Tensor& r, const Tensor& w, const Tensor& u, const Sizes& s) {
  require(w.dtype == r.dtype && (w.shape == r.shape || w.shape == Shape{s.H, s.N}), "w is [B,T,H,N] or [H,N] of the model's type");
  require(u.dtype == r.dtype && u.numel() == s.H * s.N, "u is [H,N] of the model's type");
}

// What saved states are: S before every kWkv6Chunk positions in the accumulation dtype, or the form of the chunked kernels.
struct SavedForm {
  DType dtype;
  Shape shape;
  SavedForm(const Exec& ex, DType model, const Sizes& s) {
    if (cuda::wkv6::works_in_chunks(ex, model, s.N)) {
      dtype = DType::bf16;
      shape = {cuda::wkv6::saved_numbers({s.B, s.T, s.H, s.N})};
    } else {
      dtype = acc_dtype(model);
      shape = {s.B * s.H, (s.T + kWkv6Chunk - 1) / kWkv6Chunk, s.N, s.N};
    }
  }
  bool is(const Tensor& t) const { return t.numel() == shape.numel() && t.dtype == dtype; }
};

// Least traffic: inputs and outputs once, and saved states. Products of the recurrence itself.
double least_bytes(std::initializer_list<const Tensor*> tensors) {
  double sum = 0;
  for (const Tensor* t : tensors) sum += t->shape.rank > 0 ? static_cast<double>(t->n_bytes()) : 0.0;
  return sum;
}
double flops(const Sizes& s, double per_state_element) {
  return per_state_element * static_cast<double>(s.B * s.T * s.H) * static_cast<double>(s.N * s.N);
}

}  // namespace

Tensor take_wkv6_saved(const Exec& ex, Arena& arena, DType dtype, const Shape& shape) {
  const SavedForm form(ex, dtype, Sizes(shape));
  return arena.take(form.dtype, form.shape);
}

void run(const Exec& ex, const Wkv6Forward& a) {
  const Sizes s(a.r.shape);
  const DType sum = acc_dtype(a.r.dtype);
  check_sequences({&a.k, &a.v, &a.y}, a.r);
  check_parameters(a.r, a.w, a.u, s);
  check_sum(a.state_in, s.state(), sum);
  check_sum(a.state_out, s.state(), sum);
  check_resets(a.resets, s.B, s.T);
  require(!a.saved_states || SavedForm(ex, a.r.dtype, s).is(a.saved_states), "saved states come from take_wkv6_saved");
  const OpScope watched(ex, "wkv6", least_bytes({&a.r, &a.k, &a.v, &a.w, &a.y, &a.saved_states}), flops(s, 5), {s.B, s.H, s.T});
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  ArenaScope scope(*ex.scratch);
  const Tensor scratch = ex.scratch->take(sum, {cpu::n_threads(ex), cpu::wkv6_forward_scratch(s.N)});
  if (ex.dry()) return;
  cpu::run(ex, a, scratch);
}

void run(const Exec& ex, const Wkv6Backward& a) {
  const Sizes s(a.r.shape);
  const DType sum = acc_dtype(a.r.dtype);
  check_sequences({&a.k, &a.v, &a.dy, &a.dr, &a.dk, &a.dv}, a.r);
  check_parameters(a.r, a.w, a.u, s);
  if (a.w.shape.rank == 4) check_sequences({&a.dw}, a.r);
  if (a.w.shape.rank == 2) check_sum(a.dw, s.H * s.N, sum);
  check_sum(a.du, s.H * s.N, sum);
  check_sum(a.dstate_out, s.state(), sum);
  check_sum(a.dstate_in, s.state(), sum);
  check_resets(a.resets, s.B, s.T);
  require(SavedForm(ex, a.r.dtype, s).is(a.saved_states), "backward reads the states that forward saved");
  const OpScope watched(ex, "wkv6_backward", least_bytes({&a.r, &a.k, &a.v, &a.w, &a.dy, &a.saved_states, &a.dr, &a.dk, &a.dv, &a.dw}),
                        flops(s, 14), {s.B, s.H, s.T});
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  ArenaScope scope(*ex.scratch);
  const Tensor scratch = ex.scratch->take(sum, {cpu::n_threads(ex), cpu::wkv6_backward_scratch(s.N)});
  const Tensor sums = ex.scratch->take(sum, {2, s.B, s.H, s.N});
  if (ex.dry()) return;
  cpu::run(ex, a, scratch, sums);
}

}  // namespace rk
