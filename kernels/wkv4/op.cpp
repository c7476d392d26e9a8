#include "kernels/wkv4/op.h"

#include "kernels/common/cpu_parallel.h"
#include "kernels/common/dispatch.h"
#include "kernels/common/resets.h"
#include "kernels/wkv4/saved.h"

namespace rk {
namespace cpu {
void run(const Exec& ex, const Wkv4Forward& a);
void run(const Exec& ex, const Wkv4Backward& a);
}  // namespace cpu
namespace cuda {
void run(const Exec& ex, const Wkv4Forward& a);
void run(const Exec& ex, const Wkv4Backward& a);
}  // namespace cuda

namespace {

void check_sequences(std::initializer_list<const Tensor*> tensors, const Tensor& like) {
  require(like.shape.rank == 3 && like.shape[1] >= 1, "sequences are [B,T,A]");
  for (const Tensor* t : tensors) require(t->shape == like.shape && t->dtype == like.dtype, "sequences have one shape and type");
}
void check_channels(std::initializer_list<const Tensor*> tensors, int64_t A, DType dtype) {
  for (const Tensor* t : tensors)
    require(!*t || (t->numel() == A && t->dtype == dtype), "there is one number per channel, of the right type");
}
void check_states(std::initializer_list<const Tensor*> tensors, const Tensor& k) {
  for (const Tensor* t : tensors)
    require(!*t || (t->numel() == k.shape[0] * k.shape[2] * 3 && t->dtype == acc_dtype(k.dtype)),
            "states are [B,A,3] in the accumulation dtype");
}
bool is_saved(const Exec& ex, const Tensor& saved, const Tensor& k) {
  return saved.numel() == wkv4_saved_shape(ex.device, k.dtype, k.shape).numel() && saved.dtype == acc_dtype(k.dtype);
}

// Least traffic: inputs and outputs once, and saved states.
double least_bytes(const Tensor& x, int n_sequences, const Tensor& saved) {
  return static_cast<double>(n_sequences) * static_cast<double>(x.n_bytes()) +
         (saved.shape.rank > 0 ? static_cast<double>(saved.n_bytes()) : 0.0);
}

}  // namespace

Tensor take_wkv4_saved(const Exec& ex, Arena& arena, DType dtype, const Shape& shape) {
  return arena.take(acc_dtype(dtype), wkv4_saved_shape(ex.device, dtype, shape));
}

void run(const Exec& ex, const Wkv4Forward& a) {
  check_sequences({&a.v, &a.y}, a.k);
  check_channels({&a.w, &a.u}, a.k.shape[2], a.k.dtype);
  check_states({&a.state_in, &a.state_out}, a.k);
  check_resets(a.resets, a.k.shape[0], a.k.shape[1]);
  require(!a.saved_states || is_saved(ex, a.saved_states, a.k), "saved states come from take_wkv4_saved");
  const OpScope watched(ex, "wkv4", least_bytes(a.k, 3, a.saved_states), 0, {a.k.shape[0], a.k.shape[2], a.k.shape[1]});
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  cpu::run(ex, a);
}

void run(const Exec& ex, const Wkv4Backward& a) {
  check_sequences({&a.v, &a.dy, &a.dk, &a.dv}, a.k);
  check_channels({&a.w, &a.u}, a.k.shape[2], a.k.dtype);
  check_channels({&a.dw, &a.du}, a.k.shape[2], acc_dtype(a.k.dtype));
  check_states({&a.dstate_out, &a.dstate_in}, a.k);
  check_resets(a.resets, a.k.shape[0], a.k.shape[1]);
  require(is_saved(ex, a.saved_states, a.k), "backward reads the states that forward saved");
  const OpScope watched(ex, "wkv4_backward", least_bytes(a.k, 5, a.saved_states), 0, {a.k.shape[0], a.k.shape[2], a.k.shape[1]});
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  cpu::run(ex, a);
}

}  // namespace rk
