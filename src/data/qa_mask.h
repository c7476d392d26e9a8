// Which tokens of a chat count in the loss.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace rk {

struct QaMarkers {
  std::span<const int64_t> user, assistant;  // the tokens that open a turn
};

// Mask of the targets of tokens [T+1] (so T values): 1 inside the assistant's turns, opening marker included, 0 elsewhere and beyond the
// first n_real tokens. A marker counts only if all of it lies inside them. Without any assistant turn every real token counts.
std::vector<float> qa_mask(std::span<const int64_t> tokens, int64_t n_real, const QaMarkers& markers);

}  // namespace rk
