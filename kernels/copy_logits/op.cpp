#include "kernels/copy_logits/op.h"

#include "kernels/common/dispatch.h"

namespace rk {
namespace cpu {
void run(const Exec& ex, const CausalScale& a);
void run(const Exec& ex, const CopyLogits& a);
void run(const Exec& ex, const CopyLogitsBackward& a);
}  // namespace cpu
namespace cuda {
void run(const Exec& ex, const CausalScale& a);
void run(const Exec& ex, const CopyLogits& a);
void run(const Exec& ex, const CopyLogitsBackward& a);
}  // namespace cuda

namespace {

void check_rows(const Tensor& c, int64_t t0) {
  require(c.shape.rank == 2 && t0 >= 0 && t0 + c.shape[0] <= c.shape[1], "rows t0 .. t0 + n - 1 are of [n,T]");
}
void check_copies(const Tensor& c, const Tensor& ids, const Tensor& logits) {
  require(ids.numel() == c.shape[1] && ids.dtype == DType::i32, "there is an i32 id for every token");
  require(logits.shape.rank == 2 && logits.shape[0] == c.shape[0], "logits have a row for every row of products");
  require(acc_dtype(logits.dtype) == acc_dtype(c.dtype), "products and logits are held in the model's or the accumulation dtype");
}
double bytes_of(const Tensor& t) { return static_cast<double>(t.n_bytes()); }

}  // namespace

void run(const Exec& ex, const CausalScale& a) {
  check_rows(a.c, a.t0);
  const OpScope watched(ex, "causal_scale", 2 * bytes_of(a.c));
  if (ex.dry()) return;
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  cpu::run(ex, a);
}

void run(const Exec& ex, const CopyLogits& a) {
  check_rows(a.c, a.t0);
  check_copies(a.c, a.ids, a.logits);
  const OpScope watched(ex, "copy_logits", 3 * bytes_of(a.c));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  cpu::run(ex, a);
}

void run(const Exec& ex, const CopyLogitsBackward& a) {
  check_rows(a.dc, a.t0);
  check_copies(a.dc, a.ids, a.dlogits);
  const OpScope watched(ex, "copy_logits_backward", 2 * bytes_of(a.dc));
  if (ex.dry()) return;
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  cpu::run(ex, a);
}

}  // namespace rk
