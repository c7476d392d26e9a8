// Weights of mixes that depend on the token, for operators that mix a token with the one before it.
#pragma once
#include <array>

#include "device/tensor.h"

namespace rk {

// Of all mixes or of none; known in a dry run, too.
inline bool has_token_weights(const std::array<Tensor, 6>& more) { return more[0].shape.rank > 0; }

inline void check_token_weights(const Tensor& x, const std::array<Tensor, 6>& more, int n, bool mu_of_self) {
  for (size_t m = 0; m < more.size(); ++m) {
    const bool wanted = has_token_weights(more) && m < static_cast<size_t>(n);
    require((more[m].shape.rank > 0) == wanted, "all mixes have a part of their weight that depends on the token, or none has");
    if (wanted) require(more[m].numel() == x.numel() && more[m].dtype == x.dtype, "weights of tokens have size and type of x");
  }
  require(!(has_token_weights(more) && mu_of_self), "weights that depend on the token are those of the row before");
}

}  // namespace rk
