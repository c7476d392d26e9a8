// Which token follows, from logits and a random number.
#pragma once
#include <cstdint>
#include <span>

namespace rk {

// temperature 0: the most probable token. Otherwise the least probable ones are left out first: all but the top_k most probable
// (0 = all stay), then all beyond the smallest set that reaches probability top_p; what stays is drawn with p^(1/temperature).
// Equal probabilities go by the lower id.
struct TokenChoice {
  double temperature = 1, top_p = 1;
  int64_t top_k = 0;
};

// `uniform`: in [0, 1). A pure function.
int32_t choose_token(std::span<const double> logits, const TokenChoice& rule, double uniform);

}  // namespace rk
