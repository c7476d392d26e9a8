#include "launch/rendezvous/message.h"

#include <charconv>
#include <cstdint>

namespace rk {

int Message::number(size_t i) const {
  const std::string text = word(i);
  int value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : -1;
}

// The kind, then each word behind its length (4 bytes, big-endian).
std::string encode(const Message& message) {
  std::string bytes(1, static_cast<char>(message.kind));
  for (const std::string& word : message.words) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(word.size() >> shift));
    bytes += word;
  }
  return bytes;
}

std::optional<Message> decode(std::string_view bytes) {
  if (bytes.empty() || bytes[0] < 0 || bytes[0] > static_cast<char>(Message::Kind::finish)) return {};
  Message message{static_cast<Message::Kind>(bytes[0]), {}};
  bytes.remove_prefix(1);
  while (!bytes.empty()) {
    if (bytes.size() < 4) return {};
    size_t n = 0;
    for (size_t i = 0; i < 4; ++i) n = n << 8 | static_cast<uint8_t>(bytes[i]);
    bytes.remove_prefix(4);
    if (n > bytes.size()) return {};
    message.words.emplace_back(bytes.substr(0, n));
    bytes.remove_prefix(n);
  }
  return message;
}

}  // namespace rk
