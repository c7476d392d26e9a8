#include "model/parts/embedding.h"

#include "kernels/elementwise/op.h"
#include "kernels/embedding/op.h"
#include "nn/drop.h"

namespace rk {

struct EmbeddingSaved {
  NormStats stats;
};

Embedding::Embedding(const EmbeddingParams& p, const ModelSpec& spec)
    : Unit("emb"),
      table_(p.table),
      ln0_(*p.ln0.weight, *p.ln0.bias),
      shares_(spec.old.tiny_att_dim > 0),
      C_(spec.n_embd),
      dtype_(spec.dtype) {
  if (p.pos_x) positions_.emplace(*p.pos_x, *p.pos_y);
}

Tensor Embedding::look_up(const Exec& ex, const Segment& seg) const {
  const int64_t R = seg.B * seg.T;
  const Tensor rows = ex.scratch->take(dtype_, {R, C_});
  run(ex, EmbeddingForward{.ids = seg.tokens.view({R}), .table = value(ex, *table_), .x = rows});
  return rows;
}

Tensor Embedding::dropped(const Exec& ex, const Segment& seg, Tensor rows) const {
  drop(ex, seg, drop_stream(name, 0), rows);
  return rows;
}

void Embedding::forward(const Exec& ex, const UnitForward& a) const {
  const ArenaScope scope(*ex.scratch);
  const int64_t R = a.seg.B * a.seg.T;
  const NormStats stats = take_norm_stats(a.saved ? *ex.kept : *ex.scratch, dtype_, R);
  const Tensor rows = look_up(ex, a.seg);
  if (shares_) run(ex, Cast{.x = rows, .y = a.out.shared.view({R, C_})});
  ln0_.forward(ex, {.x = dropped(ex, a.seg, rows), .y = a.out.x.view({R, C_}), .stats = stats});
  if (positions_) positions_->forward(ex, a.out.x);
  if (a.saved) a.saved->emplace<EmbeddingSaved>().stats = stats;
}

void Embedding::backward(const Exec& ex, const UnitBackward& a) const {
  const ArenaScope scope(*ex.scratch);
  const int64_t R = a.seg.B * a.seg.T;
  const Tensor dx = a.grad.dx.view({R, C_}), ids = a.seg.tokens.view({R});
  if (positions_) positions_->backward(ex, a.grad.dx);
  ln0_.backward(ex, {.x = dropped(ex, a.seg, look_up(ex, a.seg)), .stats = a.saved.as<EmbeddingSaved>().stats, .dy = dx, .dx = dx});
  if (!table_->trainable) return;
  run(ex, EmbeddingBackward{.ids = ids, .dx = dropped(ex, a.seg, dx), .dtable = grad(ex, *table_)});
  if (shares_) run(ex, EmbeddingBackward{.ids = ids, .dx = a.grad.dshared.view({R, C_}), .dtable = grad(ex, *table_)});
}

}  // namespace rk
