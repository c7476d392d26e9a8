#include "model/parts/positions.h"

#include <algorithm>

#include "kernels/elementwise/op.h"
#include "kernels/rows/op.h"
#include "nn/bound.h"

namespace rk {

void Positions::forward(const Exec& ex, const Tensor& stream) const {
  const ArenaScope scope(*ex.scratch);
  const int64_t B = stream.shape[0], T = stream.shape[1], C = stream.shape[2], P = x_->shape[1];
  require(T == n_tokens(), "a sample has as many tokens as the model has positions");
  const Tensor all = ex.scratch->take(stream.dtype, {P * P, C}), x = value(ex, *x_).view({P, C}), y = value(ex, *y_).view({P, C});
  for (int64_t a = 0; a < P; ++a) {
    const Tensor rows = all.rows(a * P, P);
    run(ex, RepeatRows{.x = y.rows(a, 1).view({C}), .y = rows});
    run(ex, Add{.x = x, .y = rows});
  }
  for (int64_t b = 0; b < B; ++b) run(ex, Add{.x = all.rows(0, T), .y = stream.view({B * T, C}).rows(b * T, T)});
}

void Positions::backward(const Exec& ex, const Tensor& dstream) const {
  const ArenaScope scope(*ex.scratch);
  const int64_t B = dstream.shape[0], T = dstream.shape[1], C = dstream.shape[2], P = x_->shape[1];
  const Tensor sum = ex.scratch->take(acc_dtype(dstream.dtype), {T, C}), dx = grad(ex, *x_), dy = grad(ex, *y_);
  run(ex, Fill{.x = sum, .value = 0});
  for (int64_t b = 0; b < B; ++b) run(ex, Add{.x = dstream.view({B * T, C}).rows(b * T, T), .y = sum});
  for (int64_t a = 0; a < P; ++a) {
    const int64_t n = std::min(P, T - a * P);
    const Tensor rows = sum.rows(a * P, n);
    if (y_->trainable) run(ex, SumRows{.x = rows, .y = dy.view({P, C}).rows(a, 1).view({C})});
    if (x_->trainable) run(ex, Add{.x = rows, .y = dx.view({P, C}).rows(0, n)});
  }
}

}  // namespace rk
