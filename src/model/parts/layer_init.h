// Initial values that depend on a layer's place among all, and on a channel's (golden rwkv456 §7, rwkv7 §9).
#pragma once
#include "model/parts/init_rules.h"

namespace rk {

struct LayerInit {
  int64_t l, L, C;
  double from_first() const;  // 0 at the first layer, 1 at the last; 0 where there is one
  double to_last() const;     // 1 at the first layer, 1 / L at the last
  // A mix: how much of a token itself is in it, (i/C)^power + more (RWKV-4, 5); how much of the token before (RWKV-6, 7).
  InitRule of_self(double power, double more = 0) const;
  InitRule of_previous(double power, double more = 0) const;
  // Of RWKV-5 and 6: raw decays and bonuses of all channels.
  InitRule decay() const;
  InitRule bonus() const;
  InitRule ln_x_weight() const;
};

}  // namespace rk
