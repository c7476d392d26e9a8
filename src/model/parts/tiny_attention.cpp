#include "model/parts/tiny_attention.h"

#include <algorithm>
#include <cmath>

#include "kernels/copy_logits/op.h"
#include "kernels/elementwise/op.h"
#include "kernels/gemm/op.h"

namespace rk {

static constexpr int64_t kRows = 256;  // of c at a time

TinyAttention::TinyAttention(const TinyAttentionParams& p, const ModelSpec& spec)
    : ln_(*p.ln.weight, *p.ln.bias),
      q_(*p.q, WeightLayout::out_in),
      k_(*p.k, WeightLayout::out_in),
      v_(*p.v, WeightLayout::out_in),
      scale_(1 / std::sqrt(static_cast<double>(spec.old.tiny_att_dim))),
      dtype_(spec.dtype) {}

int64_t TinyAttention::chunk(int64_t T) const { return std::min(kRows, T); }

TinyAttention::Projected TinyAttention::project(const Exec& ex, Tensor x, Tensor x_emb) const {
  const int64_t R = x.shape[0];
  const auto take = [&](int64_t width) { return ex.scratch->take(dtype_, {R, width}); };
  const Projected p{take(x.shape[1]), take(q_.n_out()), take(k_.n_out()), take(v_.n_out()), take_norm_stats(*ex.scratch, dtype_, R)};
  ln_.forward(ex, {.x = x, .y = p.z, .stats = p.stats});
  q_.forward(ex, {.x = p.z, .y = p.q});
  k_.forward(ex, {.x = p.z, .y = p.k});
  v_.forward(ex, {.x = x_emb, .y = p.v});
  return p;
}

Tensor TinyAttention::products(const Exec& ex, const Tensor& memory, Tensor q, Tensor k) const {
  const int64_t n = q.shape[0], S = k.shape[0];
  const Tensor c = memory.slice(0, n * S).view({n, S});
  run(ex, Gemm{.a = q, .b = k, .c = c, .trans_b = true});
  run(ex, CausalScale{.c = c, .t0 = S - n, .scale = scale_});
  return c;
}

void TinyAttention::forward(const Exec& ex, const TinyAttentionForward& a) const {
  const ArenaScope scope(*ex.scratch);
  const Projected p = project(ex, a.x, a.x_emb);
  const Tensor memory = ex.scratch->take(dtype_, {chunk(a.T) * a.T});
  for (int64_t b = 0; b < a.B; ++b)
    for (int64_t t = 0; t < a.T; t += kRows) {
      const int64_t n = std::min(kRows, a.T - t), first = b * a.T + t;
      const Tensor c = products(ex, memory, p.q.rows(first, n), p.k.rows(b * a.T, t + n));
      run(ex, Gemm{.a = c, .b = p.v.rows(b * a.T, t + n), .c = a.out.rows(first, n), .base = a.x.rows(first, n)});
    }
}

// Sets dq of the sequence, and puts the gradients of k and v in their places, which later rows need no more.
void TinyAttention::sequence_backward(const Exec& ex, const Projected& p, const Sums& sums, Tensor dx, Tensor dq) const {
  const int64_t T = dx.shape[0];
  for (const Tensor& sum : {sums.dk, sums.dv}) run(ex, Fill{.x = sum, .value = 0});
  for (int64_t t = 0; t < T; t += kRows) {
    const int64_t n = std::min(kRows, T - t), S = t + n;
    const Tensor c = products(ex, sums.c, p.q.rows(t, n), p.k.rows(0, S)), dc = sums.dc.slice(0, n * S).view({n, S}), dout = dx.rows(t, n);
    run(ex, Gemm{.a = c, .b = dout, .c = sums.dv.rows(0, S), .trans_a = true, .add = true});
    run(ex, Gemm{.a = dout, .b = p.v.rows(0, S), .c = dc, .trans_b = true});
    run(ex, CausalScale{.c = dc, .t0 = t, .scale = scale_});
    run(ex, Gemm{.a = dc, .b = p.k.rows(0, S), .c = dq.rows(t, n)});
    run(ex, Gemm{.a = dc, .b = p.q.rows(t, n), .c = sums.dk.rows(0, S), .trans_a = true, .add = true});
  }
  run(ex, Cast{.x = sums.dk, .y = p.k});
  run(ex, Cast{.x = sums.dv, .y = p.v});
}

void TinyAttention::backward(const Exec& ex, const TinyAttentionBackward& a) const {
  const ArenaScope scope(*ex.scratch);
  const int64_t T = a.T;
  const Projected p = project(ex, a.x, a.x_emb);
  const Tensor dq = ex.scratch->take(dtype_, p.q.shape);
  {
    const ArenaScope products(*ex.scratch);
    const auto take = [&](DType dtype, int64_t rows, int64_t cols) { return ex.scratch->take(dtype, {rows, cols}); };
    const Sums sums{take(dtype_, chunk(T), T), take(dtype_, chunk(T), T), take(acc_dtype(dtype_), T, k_.n_out()),
                    take(acc_dtype(dtype_), T, v_.n_out())};
    for (int64_t b = 0; b < a.B; ++b) {
      const auto rows = [&](const Tensor& t) { return t.rows(b * T, T); };
      sequence_backward(ex, {.z = {}, .q = rows(p.q), .k = rows(p.k), .v = rows(p.v), .stats = {}}, sums, rows(a.dx), rows(dq));
    }
  }
  const Tensor &dk = p.k, &dv = p.v, &dz = p.z;
  q_.backward_weight(ex, {.x = p.z, .dy = dq});
  k_.backward_weight(ex, {.x = p.z, .dy = dk});
  v_.backward(ex, {.x = a.x_emb, .dy = dv, .dx = a.dx_emb, .add_dx = true});
  q_.backward_input(ex, {.dy = dq, .dx = dz});
  k_.backward_input(ex, {.dy = dk, .dx = dz, .add_dx = true});
  ln_.backward(ex, {.x = a.x, .stats = p.stats, .dy = dz, .dx = a.dx, .add_dx = true});
}

}  // namespace rk
