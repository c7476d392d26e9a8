#include "data/chat/block_packing.h"

namespace rk {

std::vector<std::vector<int32_t>> pack_blocks(std::span<const std::vector<int32_t>> documents, int64_t block_size, int32_t end_id) {
  std::vector<std::vector<int32_t>> blocks(1);
  const auto add = [&](int32_t id) {
    if (static_cast<int64_t>(blocks.back().size()) == block_size) blocks.emplace_back();
    blocks.back().push_back(id);
  };
  for (const std::vector<int32_t>& document : documents) {
    for (int32_t id : document) add(id);
    if (document.empty() || document.back() != end_id) add(end_id);
  }
  const auto last = static_cast<int64_t>(blocks.back().size());
  if (last == 0 || (blocks.size() > 1 && last < block_size)) blocks.pop_back();
  return blocks;
}

}  // namespace rk
