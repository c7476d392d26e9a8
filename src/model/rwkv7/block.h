// The blocks of RWKV-7.
#pragma once
#include "model/rwkv7/channel_mix.h"
#include "model/rwkv7/time_mix.h"

namespace rk::rwkv7 {

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

}  // namespace rk::rwkv7
