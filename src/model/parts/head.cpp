#include "model/parts/head.h"

#include <algorithm>

#include "kernels/cross_entropy/op.h"
#include "kernels/elementwise/op.h"
#include "kernels/gemm/op.h"

namespace rk {
namespace {

// Of logits, where the user does not say. A GPU wants many rows for its products and the launches around them.
int64_t chunk_bytes(Device device) { return device == Device::cuda ? int64_t{512} << 20 : int64_t{128} << 20; }

// A tensor without a shape was not handed over; in a dry run those that were have shapes but no data.
bool given(const Tensor& t) { return t.shape.rank > 0; }

// A chunk's part of a [B,T] tensor.
Tensor part(const Tensor& t, int64_t first, int64_t n) { return given(t) ? t.slice(first, n) : Tensor{}; }

struct HeadSaved {
  Tensor dx;  // the gradient is formed in forward, while the logits are at hand
};

}  // namespace

Head::Head(const HeadParams& p, const ModelSpec& spec)
    : Unit("head"),
      ln_out_(*p.ln_out.weight, *p.ln_out.bias),
      head_(*p.weight, WeightLayout::out_in),
      C_(spec.n_embd),
      V_(spec.vocab_size),
      chunk_(spec.head_chunk),
      dtype_(spec.dtype) {}

void Head::forward(const Exec& ex, const UnitForward& a) const {
  const ArenaScope scope(*ex.scratch);
  // On a GPU training's logits are in the model's dtype and become their gradient in place, as in the reference: a third less traffic.
  const DType acc = ex.device == Device::cuda && a.saved ? dtype_ : acc_dtype(dtype_);
  const int64_t R = a.seg.B * a.seg.T;
  const int64_t fitting = std::max<int64_t>(1, chunk_bytes(ex.device) / (V_ * static_cast<int64_t>(size_of(acc))));
  const int64_t rows = std::min(chunk_ > 0 ? chunk_ : fitting, R);
  require(!a.saved || given(a.seg.targets), "training has targets");
  Tensor dx;
  if (a.saved) dx = a.saved->emplace<HeadSaved>().dx = ex.kept->take(dtype_, {R, C_});
  Chunk chunk;
  chunk.normed = ex.scratch->take(dtype_, {rows, C_});
  chunk.stats = take_norm_stats(*ex.scratch, dtype_, rows);
  chunk.logits = ex.scratch->take(acc, {rows, V_});
  chunk.dlogits = dtype_ == acc || !a.saved ? chunk.logits : ex.scratch->take(dtype_, {rows, V_});
  if (!a.seg.targets && !a.seg.logits && !ex.dry()) return;  // a prompt: only its state is wanted
  for (int64_t first = 0; first < R; first += rows) {
    const int64_t n = std::min(rows, R - first);
    const Chunk now{chunk.normed.rows(0, n),
                    {chunk.stats.mean.slice(0, n), chunk.stats.rstd.slice(0, n)},
                    chunk.logits.rows(0, n),
                    chunk.dlogits.rows(0, n)};
    forward_chunk(ex, a, first, now, a.saved ? dx.rows(first, n) : Tensor{});
  }
}

void Head::forward_chunk(const Exec& ex, const UnitForward& a, int64_t first, const Chunk& c, Tensor dx) const {
  const int64_t n = c.normed.shape[0];
  const Tensor x = a.in.x.view({a.seg.B * a.seg.T, C_}).rows(first, n);
  ln_out_.forward(ex, {.x = x, .y = c.normed, .stats = c.stats});
  head_.forward(ex, {.x = c.normed, .y = c.logits});
  if (given(a.seg.logits)) run(ex, Cast{.x = c.logits, .y = a.seg.logits.view({a.seg.B * a.seg.T, V_}).rows(first, n)});
  if (!given(a.seg.targets)) return;
  run(ex, CrossEntropy{.logits = c.logits,
                       .targets = part(a.seg.targets, first, n),
                       .weights = part(a.seg.weights, first, n),
                       .scale = a.seg.scale,
                       .l2_scale = a.seg.l2_scale,
                       .loss_scale = a.seg.loss_scale,
                       .want_gradient = a.saved != nullptr,
                       .loss_sum = a.seg.loss_sum,
                       .row_loss = part(a.seg.row_loss, first, n)});
  if (!a.saved) return;
  if (c.dlogits.dtype != c.logits.dtype) run(ex, Cast{.x = c.logits, .y = c.dlogits});
  head_.backward(ex, {.x = c.normed, .dy = c.dlogits, .dx = c.normed});
  ln_out_.backward(ex, {.x = x, .stats = c.stats, .dy = c.normed, .dx = dx});
}

void Head::backward(const Exec& ex, const UnitBackward& a) const {
  const Tensor dx = a.saved.as<HeadSaved>().dx;
  run(ex, Cast{.x = dx, .y = a.grad.dx.view(dx.shape)});
}

}  // namespace rk
