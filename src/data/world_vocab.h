// The vocabulary file of RWKV World (golden data §1.1): one entry a line, `ID LITERAL LENGTH`.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rk {

struct VocabEntry {
  int32_t id = 0;
  std::string bytes;
};

// In the order of the lines. Checks ids (positive, distinct), literals, lengths and that entries are distinct; refusals name `file_name`
// and the line.
std::vector<VocabEntry> parse_world_vocab(std::string_view text, const std::string& file_name);

}  // namespace rk
