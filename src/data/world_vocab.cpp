#include "data/world_vocab.h"

#include <charconv>
#include <unordered_map>

#include "base/error.h"
#include "data/byte_trie.h"
#include "data/utf8.h"

namespace rk {
namespace {

// One line of the file; every refusal names it.
class VocabLine {
 public:
  VocabLine(std::string_view line, const std::string& file, size_t number) : line_(line), file_(file), number_(number) {}

  VocabEntry parse() const {
    const size_t first = line_.find(' '), last = line_.rfind(' ');
    if (first == line_.npos || last == first) refuse("three words are needed: id, 'text' or b'bytes', length");
    VocabEntry entry;
    entry.id = static_cast<int32_t>(number(line_.substr(0, first), "id"));
    if (entry.id < 1 || entry.id > ByteTrie::max_id) refuse(cat("id ", entry.id, " is not in 1..", ByteTrie::max_id));
    entry.bytes = literal(line_.substr(first + 1, last - first - 1));
    const int64_t length = number(line_.substr(last + 1), "length");
    if (length != static_cast<int64_t>(entry.bytes.size())) refuse(cat("the literal has ", entry.bytes.size(), " bytes, not ", length));
    if (entry.bytes.empty()) refuse("the literal is empty");
    return entry;
  }

  [[noreturn]] void refuse(const std::string& reason) const { fail(cat(file_, ":", number_, ": ", reason)); }

 private:
  int64_t number(std::string_view text, const char* what) const {
    int32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) refuse(cat(what, " '", text, "' is not a number"));
    return value;
  }

  // A Python literal: 'text', "text", b'bytes'.
  std::string literal(std::string_view text) const {
    const bool is_bytes = text.size() > 1 && text[0] == 'b';
    if (is_bytes) text.remove_prefix(1);
    if (text.size() < 2 || (text[0] != '\'' && text[0] != '"') || text.back() != text[0]) refuse("the literal is not quoted");
    const char quote = text[0];
    text = text.substr(1, text.size() - 2);
    std::string out;
    while (!text.empty()) {
      const char c = text[0];
      text.remove_prefix(1);
      if (c == quote) refuse("a quote inside the literal has no backslash");
      if (c != '\\') {
        if (is_bytes && static_cast<uint8_t>(c) >= 0x80) refuse("a bytes literal is ASCII");
        out.push_back(c);
      } else {
        escape(text, is_bytes, out);
      }
    }
    if (!is_bytes && valid_utf8_prefix(out) != out.size()) refuse("the literal is not UTF-8");
    return out;
  }

  void escape(std::string_view& text, bool is_bytes, std::string& out) const {
    if (text.empty()) refuse("the literal ends with a backslash");
    const char c = text[0];
    text.remove_prefix(1);
    switch (c) {
      case '\\':
      case '\'':
      case '"': out.push_back(c); return;
      case 'n': out.push_back('\n'); return;
      case 't': out.push_back('\t'); return;
      case 'r': out.push_back('\r'); return;
      case 'x':
        if (const uint32_t value = hex(text, 2); is_bytes) {
          out.push_back(static_cast<char>(value));
        } else {
          append_utf8(out, value);
        }
        return;
      case 'u':
      case 'U':
        if (is_bytes) break;
        if (const uint32_t value = hex(text, c == 'u' ? 4 : 8); value < 0x110000 && (value < 0xD800 || value > 0xDFFF)) {
          append_utf8(out, value);
        } else {
          refuse("an escape names no character");
        }
        return;
      default: break;
    }
    refuse(cat("unknown escape \\", c));
  }

  uint32_t hex(std::string_view& text, size_t n) const {
    uint32_t value = 0;
    if (text.size() < n) refuse("an escape is cut");
    const auto [end, error] = std::from_chars(text.data(), text.data() + n, value, 16);
    if (error != std::errc() || end != text.data() + n) refuse(cat("'", text.substr(0, n), "' is not hexadecimal"));
    text.remove_prefix(n);
    return value;
  }

  std::string_view line_;
  const std::string& file_;
  size_t number_;
};

}  // namespace

std::vector<VocabEntry> parse_world_vocab(std::string_view text, const std::string& file_name) {
  std::vector<VocabEntry> entries;
  std::unordered_map<int32_t, size_t> line_of_id;
  std::unordered_map<std::string, size_t> line_of_bytes;
  const size_t about_lines = text.size() / 16;
  entries.reserve(about_lines);
  line_of_id.reserve(about_lines);
  line_of_bytes.reserve(about_lines);
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    std::string_view content = text.substr(0, end);
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
    if (content.ends_with('\r')) content.remove_suffix(1);
    const VocabLine line(content, file_name, number);
    entries.push_back(line.parse());
    const VocabEntry& entry = entries.back();
    if (const auto [same, is_new] = line_of_id.try_emplace(entry.id, number); !is_new)
      line.refuse(cat("id ", entry.id, " is that of line ", same->second));
    if (const auto [same, is_new] = line_of_bytes.try_emplace(entry.bytes, number); !is_new)
      line.refuse(cat("the same entry as line ", same->second));
  }
  return entries;
}

}  // namespace rk
