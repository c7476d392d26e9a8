#include "model/parts/copy_head.h"

#include "kernels/copy_logits/op.h"
#include "kernels/elementwise/op.h"
#include "kernels/gemm/op.h"

namespace rk {

CopyHead::CopyHead(Param& q, Param& k, const ModelSpec& spec)
    : q_(q, WeightLayout::out_in), k_(k, WeightLayout::out_in), scale_(1 / static_cast<double>(spec.old.head_qk)), dtype_(spec.dtype) {}

CopySequence CopyHead::take(const Exec& ex, int64_t T, int64_t rows, bool trains) const {
  const DType acc = acc_dtype(dtype_);
  CopySequence s;
  s.q = ex.scratch->take(dtype_, {T, width()});
  s.k = ex.scratch->take(dtype_, {T, width()});
  s.c = ex.scratch->take(acc, {rows * T});
  if (!trains) return s;
  s.dc = acc == dtype_ ? s.c : ex.scratch->take(dtype_, {rows * T});
  s.dq = ex.scratch->take(dtype_, {rows, width()});
  s.dk = ex.scratch->take(acc, {T, width()});
  return s;
}

void CopyHead::project(const Exec& ex, const CopySequence& s, int64_t t, Tensor normed) const {
  const int64_t n = normed.shape[0];
  q_.forward(ex, {.x = normed, .y = s.q.rows(t, n)});
  k_.forward(ex, {.x = normed, .y = s.k.rows(t, n)});
  if (t == 0 && s.dk.shape.rank > 0) run(ex, Fill{.x = s.dk, .value = 0});
}

void CopyHead::add_logits(const Exec& ex, const CopySequence& s, Tensor logits) const {
  const int64_t n = logits.shape[0], S = s.t0 + n;  // later tokens are copied by none of these rows
  const Tensor c = s.c.slice(0, n * S).view({n, S});
  run(ex, Gemm{.a = s.q.rows(s.t0, n), .b = s.k.rows(0, S), .c = c, .trans_b = true});
  run(ex, CausalScale{.c = c, .t0 = s.t0, .scale = scale_});
  run(ex, CopyLogits{.c = c, .ids = s.ids.slice(0, S), .logits = logits, .t0 = s.t0});
}

void CopyHead::backward_chunk(const Exec& ex, const CopySequence& s, const CopyChunk& a) const {
  const int64_t n = a.normed.shape[0], S = s.t0 + n;
  const Tensor dc = s.dc.slice(0, n * S).view({n, S}), dq = s.dq.rows(0, n);
  run(ex, CopyLogitsBackward{.dlogits = a.dlogits, .ids = s.ids.slice(0, S), .dc = dc, .t0 = s.t0});
  run(ex, CausalScale{.c = dc, .t0 = s.t0, .scale = scale_});
  run(ex, Gemm{.a = dc, .b = s.k.rows(0, S), .c = dq});
  run(ex, Gemm{.a = dc, .b = s.q.rows(s.t0, n), .c = s.dk.rows(0, S), .trans_a = true, .add = true});
  q_.backward(ex, {.x = a.normed, .dy = dq, .dx = a.dnormed, .add_dx = true});
}

void CopyHead::round_key_gradients(const Exec& ex, const CopySequence& s) const { run(ex, Cast{.x = s.dk, .y = s.k}); }

void CopyHead::backward_keys(const Exec& ex, const CopySequence& s, int64_t t, Tensor normed, Tensor dnormed) const {
  k_.backward(ex, {.x = normed, .dy = s.k.rows(t, normed.shape[0]), .dx = dnormed, .add_dx = true});
}

}  // namespace rk
