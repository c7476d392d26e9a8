// The first unit of a model.
#pragma once
#include "model/families.h"
#include "model/parts/params.h"
#include "nn/norm.h"

namespace rk {

// x = LN0(dropout(table[token])): the residual stream.
class Embedding : public Unit {
 public:
  Embedding(const EmbeddingParams& p, const ModelSpec& spec);
  std::vector<StateSpec> state_specs(int64_t) const override { return {}; }
  void forward(const Exec& ex, const UnitForward& a) const override;
  void backward(const Exec& ex, const UnitBackward& a) const override;

 private:
  Tensor look_up(const Exec& ex, const Segment& seg) const;

  Param* table_;
  Norm ln0_;
  int64_t C_;
  DType dtype_;
};

}  // namespace rk
