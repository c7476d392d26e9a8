#include "io/utf8.h"

#include <cstddef>
#include <cstdint>

namespace rk {

bool is_utf8(std::string_view bytes) {
  size_t i = 0;
  while (i < bytes.size()) {
    const auto lead = static_cast<uint8_t>(bytes[i++]);
    if (lead < 0x80) continue;
    const int more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc2 || lead > 0xf4 || bytes.size() - i < static_cast<size_t>(more)) return false;
    uint32_t code = lead & (0x3fu >> more);
    for (int k = 0; k < more; ++k) {
      const auto next = static_cast<uint8_t>(bytes[i++]);
      if ((next & 0xc0u) != 0x80u) return false;
      code = code << 6 | (next & 0x3fu);
    }
    const bool overlong = (more == 2 && code < 0x800) || (more == 3 && code < 0x10000);
    if (overlong || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return false;
  }
  return true;
}

std::string utf8_from_latin1(std::string_view bytes) {
  std::string text;
  for (char c : bytes) {
    const auto b = static_cast<uint8_t>(c);
    if (b < 0x80) {
      text += c;
    } else {
      text += static_cast<char>(0xc0u | (b >> 6));
      text += static_cast<char>(0x80u | (b & 0x3fu));
    }
  }
  return text;
}

bool latin1_from_utf8(std::string_view text, std::string& bytes) {
  bytes.clear();
  for (size_t i = 0; i < text.size(); ++i) {
    const auto b = static_cast<uint8_t>(text[i]);
    if (b < 0x80) {
      bytes += text[i];
    } else if ((b == 0xc2 || b == 0xc3) && i + 1 < text.size()) {
      bytes += static_cast<char>((b & 3u) << 6 | (static_cast<uint8_t>(text[++i]) & 0x3fu));
    } else {
      return false;
    }
  }
  return true;
}

std::string printable(std::string_view bytes, size_t max_bytes) {
  const bool text = is_utf8(bytes);
  std::string shown;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const auto b = static_cast<uint8_t>(bytes[i]);
    const bool wide_control = text && b == 0xc2 && static_cast<uint8_t>(bytes[i + 1]) < 0xa0;  // U+0080 to U+009F
    if (wide_control) ++i;
    shown += b < 0x20 || b == 0x7f || (b >= 0x80 && !text) || wide_control ? '?' : static_cast<char>(b);
  }
  if (shown.size() <= max_bytes) return shown;
  size_t end = max_bytes;
  while (end > 0 && (static_cast<uint8_t>(shown[end]) & 0xc0u) == 0x80u) --end;
  return shown.substr(0, end) + "...";
}

}  // namespace rk
