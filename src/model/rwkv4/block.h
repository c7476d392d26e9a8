// The blocks of RWKV-4.
#pragma once
#include <optional>

#include "model/parts/tiny_attention.h"
#include "model/rwkv4/time_mix.h"

namespace rk::rwkv4 {

// Time mix and channel mix. As old options say, block 0 begins with a channel mix instead, and one block ends with a small attention.
class Block : public Unit {
 public:
  Block(const BlockParams& p, const ModelSpec& spec, int64_t layer);
  std::vector<StateSpec> state_specs(int64_t B) const override;
  void forward(const Exec& ex, const UnitForward& a) const override;
  void backward(const Exec& ex, const UnitBackward& a) const override;

 private:
  std::optional<TimeMix> att_;
  std::optional<GatedChannelMix> ffn_pre_;  // one of the two
  GatedChannelMix ffn_;
  std::optional<TinyAttention> tiny_;
  int64_t C_, A_;
  DType dtype_;
};

}  // namespace rk::rwkv4
