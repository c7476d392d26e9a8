#include "data/utf8.h"

#include <cstdint>
#include <cstdio>
#include <cstring>

#include "base/error.h"
#include "data/tokenizer.h"

namespace rk {
namespace {

uint8_t byte_at(std::string_view bytes, size_t i) { return static_cast<uint8_t>(bytes[i]); }

// What a lead byte announces: how many bytes follow, and the range of the first of them.
struct Lead {
  int n_following = -1;  // -1: not a lead byte
  uint8_t low = 0x80, high = 0xBF;
};

Lead lead_of(uint8_t b) {
  if (b < 0xC2) return {};
  if (b <= 0xDF) return {1};
  if (b == 0xE0) return {2, 0xA0, 0xBF};
  if (b == 0xED) return {2, 0x80, 0x9F};
  if (b <= 0xEF) return {2};
  if (b == 0xF0) return {3, 0x90, 0xBF};
  if (b <= 0xF3) return {3};
  if (b == 0xF4) return {3, 0x80, 0x8F};
  return {};
}

size_t ascii_prefix(std::string_view bytes, size_t from) {
  size_t i = from;
  for (uint64_t word; i + sizeof word <= bytes.size(); i += sizeof word) {
    std::memcpy(&word, bytes.data() + i, sizeof word);
    if (word & 0x8080808080808080u) break;
  }
  while (i < bytes.size() && byte_at(bytes, i) < 0x80) ++i;
  return i;
}

}  // namespace

CodePoint first_code_point(std::string_view bytes) {
  const uint8_t first = byte_at(bytes, 0);
  if (first < 0x80) return {first, 1, true};
  Lead lead = lead_of(first);
  if (lead.n_following < 0) return {0, 1, false};
  char32_t value = first & (0x3F >> lead.n_following);
  for (int i = 1; i <= lead.n_following; ++i) {
    if (static_cast<size_t>(i) >= bytes.size()) return {0, i, false};
    const uint8_t b = byte_at(bytes, i);
    if (b < lead.low || b > lead.high) return {0, i, false};
    lead.low = 0x80, lead.high = 0xBF;
    value = value << 6 | (b & 0x3F);
  }
  return {value, lead.n_following + 1, true};
}

size_t valid_utf8_prefix(std::string_view bytes) {
  size_t i = 0;
  while ((i = ascii_prefix(bytes, i)) < bytes.size()) {
    const CodePoint c = first_code_point(bytes.substr(i));
    if (!c.valid) return i;
    i += c.n_bytes;
  }
  return i;
}

void append_utf8(std::string& out, char32_t value) {
  const auto put = [&](char32_t b) { out.push_back(static_cast<char>(b)); };
  if (value < 0x80) {
    put(value);
  } else if (value < 0x800) {
    put(0xC0 | value >> 6), put(0x80 | (value & 0x3F));
  } else if (value < 0x10000) {
    put(0xE0 | value >> 12), put(0x80 | (value >> 6 & 0x3F)), put(0x80 | (value & 0x3F));
  } else {
    put(0xF0 | value >> 18), put(0x80 | (value >> 12 & 0x3F)), put(0x80 | (value >> 6 & 0x3F)), put(0x80 | (value & 0x3F));
  }
}

std::string describe_character(char32_t value) {
  char number[16];
  std::snprintf(number, sizeof number, "U+%04X", static_cast<unsigned>(value));
  if (value < 0x20 || (value >= 0x7F && value < 0xA0)) return number;
  std::string text = cat(number, " ('");
  append_utf8(text, value);
  return text + "')";
}

std::string lossy_utf8(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const size_t n = valid_utf8_prefix(bytes);
    out.append(bytes.substr(0, n));
    bytes.remove_prefix(n);
    if (bytes.empty()) break;
    append_utf8(out, 0xFFFD);
    bytes.remove_prefix(first_code_point(bytes).n_bytes);
  }
  return out;
}

}  // namespace rk
