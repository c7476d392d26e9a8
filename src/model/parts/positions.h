// Learned positions of old models (golden rwkv456 §8):  x_t += E[t],  E[a P + b] = y[a] + x[b],  t < P^2 - 1.
#pragma once
#include "device/exec.h"
#include "params/param_table.h"

namespace rk {

class Positions {
 public:
  Positions() = default;
  Positions(Param& x, Param& y) : x_(&x), y_(&y) {}  // [1,P,C], [P,1,C]
  int64_t n_tokens() const { return x_->shape[1] * x_->shape[1] - 1; }
  // stream [B,T,C], in place; T = n_tokens().
  void forward(const Exec& ex, const Tensor& stream) const;
  // Adds to the gradients of both parameters; dstream, which is its own gradient, stays.
  void backward(const Exec& ex, const Tensor& dstream) const;

 private:
  Param *x_ = nullptr, *y_ = nullptr;
};

}  // namespace rk
