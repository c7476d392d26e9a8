// The last unit of a model.
#pragma once
#include "model/families.h"
#include "model/parts/params.h"
#include "nn/linear.h"
#include "nn/norm.h"

namespace rk {

// Logits, loss and their gradients, some rows at a time: all logits never exist, unless Segment::logits asks for them.
class Head : public Unit {
 public:
  Head(const HeadParams& p, const ModelSpec& spec);
  std::vector<StateSpec> state_specs(int64_t) const override { return {}; }
  void forward(const Exec& ex, const UnitForward& a) const override;
  void backward(const Exec& ex, const UnitBackward& a) const override;

 private:
  // Memory for one chunk of rows.
  struct Chunk {
    Tensor normed;  // [n,C]
    NormStats stats;
    Tensor logits;   // [n,V] accumulation dtype (training on a GPU: the model's), later their gradient
    Tensor dlogits;  // the same in the model's dtype
  };
  void forward_chunk(const Exec& ex, const UnitForward& a, int64_t first, const Chunk& c, Tensor dx) const;

  Norm ln_out_;
  Linear head_;
  int64_t C_, V_, chunk_;
  DType dtype_;
};

}  // namespace rk
