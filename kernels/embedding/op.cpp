#include "kernels/embedding/op.h"

#include "kernels/common/dispatch.h"

namespace rk {
namespace cpu {
void run(const Exec& ex, const EmbeddingForward& a);
void run(const Exec& ex, const EmbeddingBackward& a);
}  // namespace cpu
namespace cuda {
void run(const Exec& ex, const EmbeddingForward& a);
void run(const Exec& ex, const EmbeddingBackward& a);
}  // namespace cuda

void run(const Exec& ex, const EmbeddingForward& a) {
  require(a.ids.dtype == DType::i32 && a.table.shape.rank == 2, "ids are i32, a table is [V,C]");
  require(a.x.numel() == a.ids.numel() * a.table.shape[1] && a.x.dtype == a.table.dtype, "one row of the table for every id");
  const OpScope watched(ex, "embedding", static_cast<double>(2 * a.x.n_bytes()));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  if (ex.dry()) return;
  cpu::run(ex, a);
}

void run(const Exec& ex, const EmbeddingBackward& a) {
  require(a.ids.dtype == DType::i32 && a.dtable.shape.rank == 2, "ids are i32, a table is [V,C]");
  require(a.dx.numel() == a.ids.numel() * a.dtable.shape[1], "one row of gradients for every id");
  require(a.dtable.dtype == acc_dtype(a.dx.dtype), "the table's gradient is held in the accumulation dtype");
  const OpScope watched(ex, "embedding_backward", static_cast<double>(a.dx.n_bytes()) + 8.0 * static_cast<double>(a.dx.numel()));
  if constexpr (has_cuda) {
    if (ex.device == Device::cuda) return cuda::run(ex, a);
  }
  if (ex.dry()) return;
  cpu::run(ex, a);
}

}  // namespace rk
