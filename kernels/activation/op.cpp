#include "kernels/activation/op.h"

#include "kernels/common/dispatch.h"

namespace rk {
namespace cpu {
void run(const Exec& ex, const ActivationForward& a);
void run(const Exec& ex, const ActivationBackward& a);
}  // namespace cpu
namespace cuda {
void run(const Exec& ex, const ActivationForward& a);
void run(const Exec& ex, const ActivationBackward& a);
}  // namespace cuda

void run(const Exec& ex, const ActivationForward& a) {
  require(a.x.numel() == a.y.numel() && a.x.dtype == a.y.dtype, "an activation keeps size and type");
  const OpScope watched(ex, "activation", static_cast<double>(2 * a.x.n_bytes()));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  if (ex.dry()) return;
  cpu::run(ex, a);
}

void run(const Exec& ex, const ActivationBackward& a) {
  require(a.y.numel() == a.dy.numel() && a.y.dtype == a.dy.dtype, "y and dy of an activation have one size and type");
  require(a.y.numel() == a.dx.numel() && a.y.dtype == a.dx.dtype, "y and dx of an activation have one size and type");
  const OpScope watched(ex, "activation_backward", static_cast<double>(3 * a.y.n_bytes()));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  if (ex.dry()) return;
  cpu::run(ex, a);
}

}  // namespace rk
