// The longest of many byte strings that begins at a place of a text: a double-array trie (Aoe 1989).
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace rk {

class ByteTrie {
 public:
  struct Entry {
    std::string_view bytes;  // not empty
    int32_t id = 0;          // 1 .. max_id
  };
  static constexpr int32_t max_id = (1 << 23) - 1;

  ByteTrie() = default;
  explicit ByteTrie(std::vector<Entry> entries);  // distinct byte strings

  struct Match {
    int32_t id = 0;  // 0: nothing matches
    size_t length = 0;
  };
  Match longest(const char* text, const char* end) const {
    Match match;
    uint32_t base = 0;
    for (const char* at = text; at != end; ++at) {
      const uint32_t byte = static_cast<uint8_t>(*at);
      const Cell cell = cells_[base + byte];
      if ((cell.tag & label_mask) != byte) break;
      if (const uint32_t id = cell.tag >> label_bits; id != 0) match = {static_cast<int32_t>(id), static_cast<size_t>(at - text) + 1};
      base = cell.base;
    }
    return match;
  }

 private:
  // The node reached by `label` from the node whose children begin at `base` lies in cell base + label. No two nodes share a base, so
  // that the label alone tells whose child a cell is.
  static constexpr int label_bits = 9;
  static constexpr uint32_t label_mask = (1u << label_bits) - 1, free_label = 256;
  struct Cell {
    uint32_t base = 0;
    uint32_t tag = free_label;  // label, id
  };
  std::vector<Cell> cells_;

  class Builder;
};

}  // namespace rk
