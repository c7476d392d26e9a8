#include "kernels/sigmoid_gate/op.h"

#include "kernels/common/dispatch.h"

namespace rk {
namespace cpu {
void run(const Exec& ex, const SigmoidGateForward& a);
void run(const Exec& ex, const SigmoidGateBackward& a);
}  // namespace cpu
namespace cuda {
void run(const Exec& ex, const SigmoidGateForward& a);
void run(const Exec& ex, const SigmoidGateBackward& a);
}  // namespace cuda

namespace {

// Tensors that may be absent have a rank in a dry run, too, where they are there.
bool there(const Tensor& t) { return t.shape.rank > 0; }

void check_same(const Tensor& x, std::initializer_list<const Tensor*> others) {
  for (const Tensor* t : others) require(t->numel() == x.numel() && t->dtype == x.dtype, "a gate keeps size and type");
}

}  // namespace

void run(const Exec& ex, const SigmoidGateForward& a) {
  check_same(a.r, {&a.v, &a.y});
  if (there(a.residual)) check_same(a.r, {&a.residual});
  const OpScope watched(ex, "sigmoid_gate", static_cast<double>(a.r.n_bytes()) * (there(a.residual) ? 4 : 3));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  if (ex.dry()) return;
  cpu::run(ex, a);
}

void run(const Exec& ex, const SigmoidGateBackward& a) {
  check_same(a.r, {&a.v, &a.dy, &a.dr, &a.dv});
  if (there(a.gated)) check_same(a.r, {&a.gated});
  const OpScope watched(ex, "sigmoid_gate_backward", static_cast<double>(a.r.n_bytes()) * (there(a.gated) ? 6 : 5));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  if (ex.dry()) return;
  cpu::run(ex, a);
}

}  // namespace rk
