// The units of RWKV-7: embedding, blocks, head.
#pragma once
#include "model/rwkv7/channel_mix.h"
#include "model/rwkv7/time_mix.h"
#include "nn/norm.h"

namespace rk::rwkv7 {

// x = LN0(table[token]): the residual stream.
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

// Time mix and channel mix. Block 0 writes v_first into Flow::shared.
class Block : public Unit {
 public:
  Block(const BlockParams& p, const ModelSpec& spec, int64_t layer);
  std::vector<StateSpec> state_specs(int64_t B) const override;
  void forward(const Exec& ex, const UnitForward& a) const override;
  void backward(const Exec& ex, const UnitBackward& a) const override;

 private:
  TimeMix att_;
  ChannelMix ffn_;
  int64_t C_, N_;
  DType dtype_;
};

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

}  // namespace rk::rwkv7
