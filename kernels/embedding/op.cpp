#include "kernels/embedding/op.h"

namespace rk {
namespace cpu {
void run(const Exec& ex, const EmbeddingForward& a);
void run(const Exec& ex, const EmbeddingBackward& a);
}  // namespace cpu

void run(const Exec& ex, const EmbeddingForward& a) {
  require(a.ids.dtype == DType::i32 && a.table.shape.rank == 2, "ids are i32, a table is [V,C]");
  require(a.x.numel() == a.ids.numel() * a.table.shape[1] && a.x.dtype == a.table.dtype, "one row of the table for every id");
  if (ex.dry()) return;
  cpu::run(ex, a);
}

void run(const Exec& ex, const EmbeddingBackward& a) {
  require(a.ids.dtype == DType::i32 && a.dtable.shape.rank == 2, "ids are i32, a table is [V,C]");
  require(a.dx.numel() == a.ids.numel() * a.dtable.shape[1], "one row of gradients for every id");
  require(a.dtable.dtype == acc_dtype(a.dx.dtype), "the table's gradient is held in the accumulation dtype");
  if (ex.dry()) return;
  cpu::run(ex, a);
}

}  // namespace rk
