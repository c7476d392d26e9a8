// The last unit of a model.
#pragma once
#include <optional>

#include "model/families.h"
#include "model/parts/copy_head.h"
#include "model/parts/params.h"
#include "nn/linear.h"
#include "nn/norm.h"

namespace rk {

// Logits, loss and their gradients, some rows at a time: all logits never exist, unless Segment::logits asks for them. Where old models
// copy from earlier tokens, chunks lie inside sequences, and gradients of the norm wait for the sequence's last chunk.
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
    Tensor logits;                // [n,V] accumulation dtype (training on a GPU: the model's), later their gradient
    Tensor dlogits;               // the same in the model's dtype
    Chunk rows(int64_t n) const;  // the first n
  };
  Chunk take_chunk(const Exec& ex, int64_t rows, bool trains) const;
  // A chunk begins with row `first`; its sequence is given where it copies.
  void forward_chunk(const Exec& ex, const UnitForward& a, int64_t first, const Chunk& c, Tensor dx, const CopySequence* copied) const;
  void project_sequence(const Exec& ex, Tensor x, const Chunk& c, const CopySequence& s) const;
  void finish_sequence(const Exec& ex, Tensor x, const Chunk& c, const CopySequence& s, Tensor dx) const;

  Norm ln_out_;
  Linear head_;
  std::optional<CopyHead> copy_;
  int64_t C_, V_, chunk_;
  DType dtype_;
};

}  // namespace rk
