#include "data/qa_mask.h"

#include <algorithm>

namespace rk {
namespace {

bool opens(std::span<const int64_t> tokens, std::span<const int64_t> marker) {
  return !marker.empty() && tokens.size() >= marker.size() && std::equal(marker.begin(), marker.end(), tokens.begin());
}

}  // namespace

std::vector<float> qa_mask(std::span<const int64_t> tokens, int64_t n_real, const QaMarkers& markers) {
  if (tokens.empty()) return {};
  const auto real = tokens.first(static_cast<size_t>(std::clamp<int64_t>(n_real, 0, static_cast<int64_t>(tokens.size()))));
  std::vector<float> mask(tokens.size(), 0.0f);
  bool answering = false, any = false;
  for (size_t i = 0; i < real.size(); ++i) {
    if (opens(real.subspan(i), markers.user)) {
      answering = false;
    } else if (opens(real.subspan(i), markers.assistant)) {
      answering = true;
    }
    mask[i] = answering ? 1.0f : 0.0f;
    any = any || answering;
  }
  if (!any && real.size() > 1) std::fill(mask.begin(), mask.begin() + static_cast<int64_t>(real.size()) - 1, 1.0f);
  mask.erase(mask.begin());  // the first token is nobody's target
  return mask;
}

}  // namespace rk
