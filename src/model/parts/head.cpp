#include "model/parts/head.h"

#include <algorithm>

#include "kernels/cross_entropy/op.h"
#include "kernels/elementwise/op.h"

namespace rk {
namespace {

// Of logits, where the user does not say. A GPU wants many rows for its products and the launches around them.
int64_t chunk_bytes(Device device) { return device == Device::cuda ? int64_t{512} << 20 : int64_t{128} << 20; }

// On a GPU training's logits are in the model's dtype and become their gradient in place, as in the reference: a third less traffic. Of a
// small vocabulary there is little traffic, and they keep what rounding would cost.
constexpr int64_t kSmallVocabulary = 8192;
DType logits_dtype(const Exec& ex, DType model, int64_t V, bool trains) {
  return ex.device == Device::cuda && trains && V > kSmallVocabulary ? model : acc_dtype(model);
}

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
      dtype_(spec.dtype) {
  if (p.q) copy_.emplace(*p.q, *p.k, spec);
}

Head::Chunk Head::Chunk::rows(int64_t n) const {
  return {normed.rows(0, n), {stats.mean.slice(0, n), stats.rstd.slice(0, n)}, logits.rows(0, n), dlogits.rows(0, n)};
}

Head::Chunk Head::take_chunk(const Exec& ex, int64_t rows, bool trains) const {
  const DType acc = logits_dtype(ex, dtype_, V_, trains);
  Chunk chunk;
  chunk.normed = ex.scratch->take(dtype_, {rows, C_});
  chunk.stats = take_norm_stats(*ex.scratch, dtype_, rows);
  chunk.logits = ex.scratch->take(acc, {rows, V_});
  chunk.dlogits = dtype_ == acc || !trains ? chunk.logits : ex.scratch->take(dtype_, {rows, V_});
  return chunk;
}

void Head::forward(const Exec& ex, const UnitForward& a) const {
  const ArenaScope scope(*ex.scratch);
  const bool trains = a.saved != nullptr;
  const int64_t R = a.seg.B * a.seg.T, S = copy_ ? a.seg.T : R;  // rows that belong together
  const auto logit_bytes = static_cast<int64_t>(size_of(logits_dtype(ex, dtype_, V_, trains)));
  const int64_t fitting = std::max<int64_t>(1, chunk_bytes(ex.device) / (V_ * logit_bytes));
  const int64_t rows = std::min(chunk_ > 0 ? chunk_ : fitting, S);
  require(!trains || given(a.seg.targets), "training has targets");
  require(!copy_ || !given(a.seg.resets), "rows that copy from all earlier tokens hold one document");
  Tensor dx;
  if (trains) dx = a.saved->emplace<HeadSaved>().dx = ex.kept->take(dtype_, {R, C_});
  const Chunk chunk = take_chunk(ex, rows, trains);
  CopySequence copied;
  if (copy_) copied = copy_->take(ex, S, rows, trains);
  if (!a.seg.targets && !a.seg.logits && !ex.dry()) return;  // a prompt: only its state is wanted
  for (int64_t begin = 0; begin < R; begin += S) {
    const Tensor x = a.in.x.view({R, C_}).rows(begin, S);
    if (copy_) {
      copied.ids = a.seg.tokens.slice(begin, S);
      project_sequence(ex, x, chunk, copied);
    }
    for (int64_t t = 0; t < S; t += rows) {
      const int64_t n = std::min(rows, S - t);
      copied.t0 = t;
      forward_chunk(ex, a, begin + t, chunk.rows(n), trains ? dx.rows(begin + t, n) : Tensor{}, copy_ ? &copied : nullptr);
    }
    if (copy_ && trains) finish_sequence(ex, x, chunk, copied, dx.rows(begin, S));
  }
}

void Head::forward_chunk(const Exec& ex, const UnitForward& a, int64_t first, const Chunk& c, Tensor dx, const CopySequence* copied) const {
  const int64_t n = c.normed.shape[0];
  const Tensor x = a.in.x.view({a.seg.B * a.seg.T, C_}).rows(first, n);
  ln_out_.forward(ex, {.x = x, .y = c.normed, .stats = c.stats});
  head_.forward(ex, {.x = c.normed, .y = c.logits});
  if (copied) copy_->add_logits(ex, *copied, c.logits);
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
  if (copied) {
    head_.backward(ex, {.x = c.normed, .dy = c.dlogits, .dx = dx});
    return copy_->backward_chunk(ex, *copied, {.normed = c.normed, .dlogits = c.dlogits, .dnormed = dx});
  }
  head_.backward(ex, {.x = c.normed, .dy = c.dlogits, .dx = c.normed});
  ln_out_.backward(ex, {.x = x, .stats = c.stats, .dy = c.normed, .dx = dx});
}

// Queries and keys of all tokens of a sequence, before its first chunk of logits.
void Head::project_sequence(const Exec& ex, Tensor x, const Chunk& c, const CopySequence& s) const {
  for (int64_t t = 0; t < x.shape[0]; t += c.normed.shape[0]) {
    const Chunk now = c.rows(std::min(c.normed.shape[0], x.shape[0] - t));
    ln_out_.forward(ex, {.x = x.rows(t, now.normed.shape[0]), .y = now.normed, .stats = now.stats});
    copy_->project(ex, s, t, now.normed);
  }
}

// Keys have their gradients from all later rows, which are complete now. dx holds the gradient of the norm's output and gets that of x.
void Head::finish_sequence(const Exec& ex, Tensor x, const Chunk& c, const CopySequence& s, Tensor dx) const {
  copy_->round_key_gradients(ex, s);
  for (int64_t t = 0; t < x.shape[0]; t += c.normed.shape[0]) {
    const int64_t n = std::min(c.normed.shape[0], x.shape[0] - t);
    const Chunk now = c.rows(n);
    ln_out_.forward(ex, {.x = x.rows(t, n), .y = now.normed, .stats = now.stats});
    copy_->backward_keys(ex, s, t, now.normed, dx.rows(t, n));
    ln_out_.backward(ex, {.x = x.rows(t, n), .stats = now.stats, .dy = dx.rows(t, n), .dx = dx.rows(t, n)});
  }
}

void Head::backward(const Exec& ex, const UnitBackward& a) const {
  const Tensor dx = a.saved.as<HeadSaved>().dx;
  run(ex, Cast{.x = dx, .y = a.grad.dx.view(dx.shape)});
}

}  // namespace rk
