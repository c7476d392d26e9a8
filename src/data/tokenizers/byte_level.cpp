#include "data/tokenizers/byte_level.h"

#include <map>

namespace rk {
namespace {

// 33..126, 161..172 and 174..255 stand for themselves, the others, in their order, for U+0100 and what follows it.
std::map<char32_t, char> byte_of_characters() {
  std::map<char32_t, char> byte_of;
  char32_t next = 0x100;
  for (char32_t b = 0; b < 256; ++b) {
    const bool itself = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
    byte_of[itself ? b : next++] = static_cast<char>(b);
  }
  return byte_of;
}

}  // namespace

bool bytes_of_byte_level(std::string_view token, std::string& bytes) {
  static const std::map<char32_t, char> byte_of = byte_of_characters();
  bytes.clear();
  for (size_t i = 0; i < token.size();) {
    const ValidCodePoint c = valid_code_point(token.data() + i);
    const auto found = byte_of.find(c.value);
    if (found == byte_of.end()) return false;
    bytes.push_back(found->second);
    i += static_cast<size_t>(c.n_bytes);
  }
  return true;
}

}  // namespace rk
