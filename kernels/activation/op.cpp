#include "kernels/activation/op.h"

namespace rk {
namespace cpu {
void run(const Exec& ex, const ActivationForward& a);
void run(const Exec& ex, const ActivationBackward& a);
}  // namespace cpu

void run(const Exec& ex, const ActivationForward& a) {
  require(a.x.numel() == a.y.numel() && a.x.dtype == a.y.dtype, "an activation keeps size and type");
  if (ex.dry()) return;
  cpu::run(ex, a);
}

void run(const Exec& ex, const ActivationBackward& a) {
  require(a.y.numel() == a.dy.numel() && a.y.dtype == a.dy.dtype, "y and dy of an activation have one size and type");
  require(a.y.numel() == a.dx.numel() && a.y.dtype == a.dx.dtype, "y and dx of an activation have one size and type");
  if (ex.dry()) return;
  cpu::run(ex, a);
}

}  // namespace rk
