#include "data/json_reader.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "data/text_error.h"
#include "data/utf8.h"

namespace rk {
namespace {

constexpr uint64_t every_byte(uint8_t b) { return 0x0101010101010101u * b; }

// Whether a byte of the word is below 0x20, a quote or a backslash (bytes from 0x80 on are none of these).
bool has_special(uint64_t word) {
  const auto zero = [](uint64_t v) { return (v - every_byte(1)) & ~v & every_byte(0x80); };
  const uint64_t control = (word - every_byte(0x20)) & ~word & every_byte(0x80);
  return (control | zero(word ^ every_byte('"')) | zero(word ^ every_byte('\\'))) != 0;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

uint32_t hex4(std::string_view text, size_t at) {
  uint32_t value = 0;
  for (size_t i = at; i < at + 4; ++i) value = value << 4 | static_cast<uint32_t>(hex_digit(text[i]));
  return value;
}

}  // namespace

JsonReader::JsonReader(std::string_view text) : text_(text) {
  if (const size_t valid = valid_utf8_prefix(text); valid != text.size()) throw TextError("invalid UTF-8", valid);
}

void JsonReader::refuse_at(size_t offset, const std::string& reason, Where where) const {
  throw TextError(offset >= text_.size() ? cat("the line ends early: ", reason) : reason, offset, where);
}

char JsonReader::next() {
  skip_space();
  return at_ < text_.size() ? text_[at_] : '\0';
}

void JsonReader::object(std::span<const std::string_view> keys, std::span<size_t> places) {
  std::ranges::fill(places, absent);
  skip_space();
  if (!take('{')) refuse("a JSON object is expected");
  skip_space();
  if (take('}')) return;
  do {
    const auto wanted = std::ranges::find(keys, member_key());
    if (wanted != keys.end()) places[static_cast<size_t>(wanted - keys.begin())] = at_;
    skip_value();
    skip_space();
  } while (take(','));
  if (!take('}')) refuse("',' or '}' is expected");
}

bool JsonReader::first_element() {
  skip_space();
  if (!take('[')) refuse("a JSON array is expected");
  skip_space();
  return !take(']');
}

bool JsonReader::next_element() {
  skip_space();
  if (take(',')) return true;
  if (!take(']')) refuse("',' or ']' is expected");
  return false;
}

std::string_view JsonReader::string(std::string& unescaped) {
  if (next() != '"') refuse("a string is expected");
  const RawString raw = raw_string();
  return raw.escaped ? unescape(raw.text, unescaped, true) : raw.text;
}

void JsonReader::end() {
  skip_space();
  if (at_ != text_.size()) refuse("something follows the JSON object");
}

void JsonReader::skip_space() {
  while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) ++at_;
}
bool JsonReader::take(char c) {
  if (at_ >= text_.size() || text_[at_] != c) return false;
  ++at_;
  return true;
}
bool JsonReader::take(std::string_view word) {
  if (text_.substr(at_, word.size()) != word) return false;
  at_ += word.size();
  return true;
}

// The key of a member up to its value.
std::string_view JsonReader::member_key() {
  skip_space();
  if (at_ >= text_.size() || text_[at_] != '"') refuse("a key in double quotes is expected");
  const RawString key = raw_string();
  skip_space();
  if (!take(':')) refuse("':' is expected after a key");
  skip_space();
  return key.escaped ? unescape(key.text, key_, false) : key.text;
}

JsonReader::RawString JsonReader::raw_string() {
  const size_t begin = ++at_;
  bool escaped = false;
  for (;;) {
    for (uint64_t word; at_ + sizeof word <= text_.size(); at_ += sizeof word) {
      std::memcpy(&word, text_.data() + at_, sizeof word);
      if (has_special(word)) break;
    }
    while (at_ < text_.size() && static_cast<uint8_t>(text_[at_]) >= 0x20 && text_[at_] != '"' && text_[at_] != '\\') ++at_;
    if (at_ >= text_.size()) refuse("a string has no closing quote");
    if (text_[at_] == '"') return {text_.substr(begin, at_++ - begin), escaped};
    if (text_[at_] != '\\') refuse(cat("a raw control character (byte ", int{text_[at_]}, ") inside a string"));
    escaped = true;
    skip_escape();
  }
}

void JsonReader::skip_escape() {
  const size_t backslash = at_++;
  if (at_ >= text_.size()) refuse("a string has no closing quote");
  const char c = text_[at_++];
  if (c == 'u') {
    for (int i = 0; i < 4; ++i, ++at_) {
      if (at_ >= text_.size() || hex_digit(text_[at_]) < 0) refuse_at(backslash, "\\u needs four hexadecimal digits");
    }
  } else if (std::strchr("\"\\/bfnrt", c) == nullptr || c == '\0') {
    refuse_at(backslash, "unknown escape in a string");
  }
}

// Escapes were checked by string(). A surrogate without its partner is an error in a text; in a key it only makes it another key.
std::string_view JsonReader::unescape(std::string_view text, std::string& out, bool is_text) const {
  out.clear();
  for (size_t i = 0; i < text.size();) {
    const size_t plain = std::min(text.find('\\', i), text.size());
    out.append(text, i, plain - i);
    if ((i = plain) == text.size()) break;
    const char c = text[i + 1];
    if (c != 'u') {
      out.push_back(c == 'b' ? '\b' : c == 'f' ? '\f' : c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c);
      i += 2;
      continue;
    }
    char32_t value = hex4(text, i + 2);
    size_t used = 6;
    if (value >= 0xD800 && value <= 0xDFFF) {
      const bool pair = value < 0xDC00 && text.substr(i + 6, 2) == "\\u" && (hex4(text, i + 8) & 0xFC00) == 0xDC00;
      if (!pair && is_text)
        throw TextError("a lone surrogate (half a character) in the text", static_cast<size_t>(text.data() - text_.data()) + i);
      if (pair) value = 0x10000 + ((value - 0xD800) << 10) + (hex4(text, i + 8) - 0xDC00), used = 12;
    }
    append_utf8(out, value);
    i += used;
  }
  return out;
}

// A value of any kind; open containers are kept in a list, not on the stack.
void JsonReader::skip_value() {
  open_.clear();
  do {
    skip_space();
    if (take('{')) {
      skip_space();
      if (!take('}')) {
        open_.push_back('{');
        member_key();
        continue;
      }
    } else if (take('[')) {
      skip_space();
      if (!take(']')) {
        open_.push_back('[');
        continue;
      }
    } else {
      skip_scalar();
    }
    close_containers();
  } while (!open_.empty());
}

// After a value: ends containers, up to the place of the next value.
void JsonReader::close_containers() {
  while (!open_.empty()) {
    const bool object = open_.back() == '{';
    skip_space();
    if (take(',')) {
      if (object) member_key();
      return;
    }
    if (!take(object ? '}' : ']')) refuse(object ? "',' or '}' is expected" : "',' or ']' is expected");
    open_.pop_back();
  }
}

void JsonReader::skip_scalar() {
  if (at_ < text_.size() && text_[at_] == '"') {
    raw_string();
    return;
  }
  for (const char* word : {"true", "false", "null", "NaN", "Infinity", "-Infinity"}) {
    if (take(word)) return;
  }
  skip_number();
}

size_t JsonReader::skip_digits() {
  const size_t begin = at_;
  while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') ++at_;
  return at_ - begin;
}

void JsonReader::skip_number() {
  take('-');
  if (!take('0') && skip_digits() == 0) refuse("a value is expected");
  if (take('.') && skip_digits() == 0) refuse("a digit is expected after the decimal point");
  if (take('e') || take('E')) {
    if (!take('+')) take('-');
    if (skip_digits() == 0) refuse("a digit is expected in the exponent");
  }
}

}  // namespace rk
