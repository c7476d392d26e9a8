// The first unit of a model.
#pragma once
#include <optional>

#include "model/families.h"
#include "model/parts/params.h"
#include "model/parts/positions.h"
#include "nn/norm.h"

namespace rk {

// x = LN0(dropout(table[token])) + positions: the residual stream. Where blocks of old models share it, Flow::shared = table[token].
class Embedding : public Unit {
 public:
  Embedding(const EmbeddingParams& p, const ModelSpec& spec);
  std::vector<StateSpec> state_specs(int64_t) const override { return {}; }
  void forward(const Exec& ex, const UnitForward& a) const override;
  void backward(const Exec& ex, const UnitBackward& a) const override;

 private:
  Tensor look_up(const Exec& ex, const Segment& seg) const;               // in scratch
  Tensor dropped(const Exec& ex, const Segment& seg, Tensor rows) const;  // in place

  Param* table_;
  Norm ln0_;
  std::optional<Positions> positions_;
  bool shares_;
  int64_t C_;
  DType dtype_;
};

}  // namespace rk
