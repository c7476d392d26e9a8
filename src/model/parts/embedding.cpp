#include "model/parts/embedding.h"

#include "kernels/embedding/op.h"
#include "nn/drop.h"

namespace rk {

struct EmbeddingSaved {
  NormStats stats;
};

Embedding::Embedding(const EmbeddingParams& p, const ModelSpec& spec)
    : Unit("emb"), table_(p.table), ln0_(*p.ln0.weight, *p.ln0.bias), C_(spec.n_embd), dtype_(spec.dtype) {}

Tensor Embedding::look_up(const Exec& ex, const Segment& seg) const {
  const int64_t R = seg.B * seg.T;
  const Tensor rows = ex.scratch->take(dtype_, {R, C_});
  run(ex, EmbeddingForward{.ids = seg.tokens.view({R}), .table = value(ex, *table_), .x = rows});
  drop(ex, seg, drop_stream(name, 0), rows);
  return rows;
}

void Embedding::forward(const Exec& ex, const UnitForward& a) const {
  const ArenaScope scope(*ex.scratch);
  const int64_t R = a.seg.B * a.seg.T;
  const NormStats stats = take_norm_stats(a.saved ? *ex.kept : *ex.scratch, dtype_, R);
  ln0_.forward(ex, {.x = look_up(ex, a.seg), .y = a.out.x.view({R, C_}), .stats = stats});
  if (a.saved) a.saved->emplace<EmbeddingSaved>().stats = stats;
}

void Embedding::backward(const Exec& ex, const UnitBackward& a) const {
  const ArenaScope scope(*ex.scratch);
  const int64_t R = a.seg.B * a.seg.T;
  const Tensor dx = a.grad.dx.view({R, C_});
  ln0_.backward(ex, {.x = look_up(ex, a.seg), .stats = a.saved.as<EmbeddingSaved>().stats, .dy = dx, .dx = dx});
  if (!table_->trainable) return;
  drop(ex, a.seg, drop_stream(name, 0), dx);
  run(ex, EmbeddingBackward{.ids = a.seg.tokens.view({R}), .dx = dx, .dtable = grad(ex, *table_)});
}

}  // namespace rk
