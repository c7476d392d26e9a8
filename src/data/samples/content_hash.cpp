#include "data/samples/content_hash.h"

#include <algorithm>
#include <array>

namespace rk {

uint64_t document_hash(const TokenData& data, int64_t d) {
  int64_t border[2];
  data.document_begins(d, border);
  std::array<int32_t, 4096> tokens;
  ContentHash hash;
  for (int64_t at = border[0]; at < border[1]; at += std::ssize(tokens)) {
    const auto part = std::span(tokens).first(static_cast<size_t>(std::min<int64_t>(std::ssize(tokens), border[1] - at)));
    data.read(at, part, 0);
    hash.add(part);
  }
  return hash.value();
}

bool in_validation(uint64_t hash, double share) { return static_cast<double>(hash >> 11) * 0x1p-53 < share; }

}  // namespace rk
