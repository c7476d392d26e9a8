#include "kernels/common/dispatch.h"
#include "kernels/dropout/rule.h"

namespace rk {
namespace cpu {
void run(const Exec& ex, const Dropout& a);
}
namespace cuda {
void run(const Exec& ex, const Dropout& a);
}

void run(const Exec& ex, const Dropout& a) {
  require(a.x.shape.rank == 3, "x is [B,T,C]");
  require(a.y.numel() == a.x.numel() && a.y.dtype == a.x.dtype, "dropout keeps size and type");
  require(a.p >= 0 && a.p < 1, "dropout leaves something");
  require(a.first_row >= 0 && a.first_token >= 0 && a.first_token + a.x.shape[1] <= a.row_tokens, "tokens lie inside their row");
  require(a.first_row + a.x.shape[0] <= kDropoutMaxRows / a.row_tokens && a.x.shape[2] <= kDropoutMaxColumns,
          "every number has a counter of its own");
  const OpScope watched(ex, "dropout", static_cast<double>(2 * a.x.n_bytes()));
  if (ex.dry()) return;
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  cpu::run(ex, a);
}

}  // namespace rk
