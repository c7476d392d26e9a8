// The one place where a stored weight meets a matrix product.
#pragma once
#include "device/exec.h"
#include "params/param_table.h"

namespace rk {

// How files hold a matrix: [out,in], y = x W^T, or as factors of low-rank products [in,out], y = x A.
enum class WeightLayout : uint8_t { out_in, in_out };

struct LinearForward {
  Tensor x, y;       // [R,in], [R,out]
  bool add = false;  // y += instead of y =
  Tensor residual;   // [R,out] added to y's new value: y = x W^T + residual; null = none
  Tensor bias;       // [out] added to every row; null = none. Its gradient is the caller's: the sum of rows of dy
};
struct LinearBackwardInput {
  Tensor dy, dx;
  bool add_dx = false;  // dx += instead of dx =
};
struct LinearBackwardWeight {
  Tensor x, dy;
};
struct LinearBackward {
  Tensor x, dy, dx;     // dx may be x
  bool add_dx = false;  // dx += instead of dx =
};

// The gradient of the weight is added to Param::dw unless the weight is frozen.
class Linear {
 public:
  Linear() = default;
  // part: which matrix of a weight that holds several, [n,in,out] or [n,out,in].
  Linear(Param& weight, WeightLayout layout, int64_t part = 0) : weight_(&weight), layout_(layout), part_(part) {}
  void forward(const Exec& ex, const LinearForward& a) const;
  // backward = backward_weight, then backward_input; the halves serve who has x and dx at different times.
  void backward(const Exec& ex, const LinearBackward& a) const;
  void backward_input(const Exec& ex, const LinearBackwardInput& a) const;
  void backward_weight(const Exec& ex, const LinearBackwardWeight& a) const;
  int64_t n_in() const { return weight_->shape[weight_->shape.rank - (layout_ == WeightLayout::out_in ? 1 : 2)]; }
  int64_t n_out() const { return weight_->shape[weight_->shape.rank - (layout_ == WeightLayout::out_in ? 2 : 1)]; }

 private:
  Tensor matrix(const Tensor& all) const;

  Param* weight_ = nullptr;
  WeightLayout layout_ = WeightLayout::out_in;
  int64_t part_ = 0;
};

}  // namespace rk
