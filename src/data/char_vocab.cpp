#include "data/char_vocab.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/mapped_file.h"
#include "data/text_error.h"
#include "data/utf8.h"

namespace rk {
namespace {

void append_json_character(std::string& out, char32_t c) {
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    case '\f': out += "\\f"; return;
    case '\b': out += "\\b"; return;
    default: break;
  }
  if (c >= 0x20) return append_utf8(out, c);
  char escape[8];
  std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
  out += escape;
}

// UTF-16 text behind its byte order mark; nothing where a unit stands alone.
std::optional<std::string> utf8_of_utf16(std::string_view bytes, bool big_endian) {
  const auto unit = [&](size_t i) {
    const char32_t a = static_cast<uint8_t>(bytes[i]), b = static_cast<uint8_t>(bytes[i + 1]);
    return big_endian ? a << 8 | b : b << 8 | a;
  };
  if (bytes.size() % 2 != 0) return std::nullopt;
  std::string out;
  for (size_t i = 2; i < bytes.size(); i += 2) {
    const char32_t c = unit(i);
    if (c < 0xD800 || c > 0xDFFF) {
      append_utf8(out, c);
      continue;
    }
    if (c > 0xDBFF || i + 2 >= bytes.size()) return std::nullopt;
    const char32_t low = unit(i += 2);
    if (low < 0xDC00 || low > 0xDFFF) return std::nullopt;
    append_utf8(out, 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00));
  }
  return out;
}

std::string json_text_of(const MappedFile& file) {
  std::string_view bytes(reinterpret_cast<const char*>(file.bytes().data()), file.size());
  if (!bytes.starts_with("\xFF\xFE") && !bytes.starts_with("\xFE\xFF")) {
    if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
    return std::string(bytes);
  }
  const auto text = utf8_of_utf16(bytes, bytes[0] == '\xFE');
  if (!text) fail(cat(file.path(), ": begins like UTF-16 but is not"));
  return *text;
}

// The single character of an entry; nothing for the empty text.
std::optional<char32_t> character_of(const std::string& text, const std::string& file, const std::string& key) {
  if (text.empty()) return std::nullopt;
  const CodePoint c = first_code_point(text);
  if (!c.valid || static_cast<size_t>(c.n_bytes) != text.size()) fail(cat(file, ": entry \"", key, "\" is not a single character"));
  return c.value;
}

class CharTokenizer final : public Tokenizer {
 public:
  CharTokenizer(const std::vector<char32_t>& characters, std::string vocab) : vocab_(std::move(vocab)) {
    for (char32_t c : characters) {
      if (c >= id_of_.size()) id_of_.resize(c + 1, -1);
      if (id_of_[c] >= 0) fail(cat(vocab_, ": the character ", describe_character(c), " has two ids, ", id_of_[c], " and ", texts_.size()));
      id_of_[c] = static_cast<int32_t>(texts_.size());
      append_utf8(texts_.emplace_back(), c);
    }
  }

  void encode(std::string_view bytes, std::vector<int32_t>& ids) const override {
    for (size_t i = 0; i < bytes.size();) {
      const CodePoint c = first_code_point(bytes.substr(i));
      if (!c.valid) throw TextError("invalid UTF-8", i);
      if (c.value >= id_of_.size() || id_of_[c.value] < 0) {
        throw TextError(cat("the character ", describe_character(c.value), " is not in the vocabulary ", vocab_), i);
      }
      ids.push_back(id_of_[c.value]);
      i += static_cast<size_t>(c.n_bytes);
    }
  }

  // In front of a character that may be cut.
  size_t split_point(std::string_view bytes) const override {
    for (size_t i = bytes.size(); i > 0 && bytes.size() - i < 4;) {
      const uint8_t b = static_cast<uint8_t>(bytes[--i]);
      if (b < 0x80) return bytes.size();
      if (b >= 0xC0) return first_code_point(bytes.substr(i)).valid ? bytes.size() : i;
    }
    return bytes.size();
  }

  std::string_view bytes_of(int32_t id) const override {
    if (id < 0 || static_cast<size_t>(id) >= texts_.size()) fail(cat("id ", id, " has no character in the vocabulary ", vocab_));
    return texts_[static_cast<size_t>(id)];
  }
  int64_t vocab_size() const override { return static_cast<int64_t>(texts_.size()) + 1; }
  int32_t end_of_document() const override { return static_cast<int32_t>(texts_.size()); }
  std::string name() const override { return "char"; }

 private:
  std::string vocab_;
  std::vector<int32_t> id_of_;  // by code point; -1: none
  std::vector<std::string> texts_;
};

}  // namespace

void CharacterSet::add(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const CodePoint c = first_code_point(text.substr(i));
    if (!c.valid) throw TextError("invalid UTF-8", i);
    seen_.set(c.value);
    i += static_cast<size_t>(c.n_bytes);
  }
}

void CharacterSet::add(std::span<const char32_t> characters) {
  for (char32_t c : characters) seen_.set(c);
}

std::vector<char32_t> CharacterSet::sorted() const {
  std::vector<char32_t> characters;
  for (char32_t c = 0; c < seen_.size(); ++c) {
    if (seen_[c]) characters.push_back(c);
  }
  return characters;
}

std::string char_vocab_json(const std::vector<char32_t>& characters, bool end_of_document) {
  std::string out = "{";
  for (size_t i = 0; i < characters.size(); ++i) {
    out += cat(i == 0 ? "\"" : ", \"", i, "\": \"");
    append_json_character(out, characters[i]);
    out += '"';
  }
  if (end_of_document) out += cat(characters.empty() ? "\"" : ", \"", characters.size(), "\": \"\"");
  return out + "}";
}

std::vector<char32_t> read_char_vocab(const std::string& file) {
  const nlohmann::json entries = nlohmann::json::parse(json_text_of(MappedFile(file)), nullptr, false);
  if (!entries.is_object()) fail(cat(file, ": not a character vocabulary; {\"0\": \"a\", \"1\": \"b\", ...} is expected"));
  std::vector<char32_t> characters;
  for (size_t id = 0; id < entries.size(); ++id) {
    const std::string key = std::to_string(id);
    const auto entry = entries.find(key);
    if (entry == entries.end())
      fail(cat(file, ": ", entries.size(), " entries, but there is no \"", key, "\"; ids count from 0 without gaps"));
    if (!entry->is_string()) fail(cat(file, ": entry \"", key, "\" is not a text"));
    const auto c = character_of(entry->get_ref<const std::string&>(), file, key);
    if (c) {
      characters.push_back(*c);
    } else if (id + 1 != entries.size()) {
      fail(cat(file, ": entry \"", key, "\" is empty; only the last may be, as the id that ends documents"));
    }
  }
  if (characters.empty()) fail(cat(file, ": the vocabulary has no characters"));
  return characters;
}

std::unique_ptr<Tokenizer> make_char_tokenizer(const std::vector<char32_t>& characters, const std::string& name) {
  return std::make_unique<CharTokenizer>(characters, name);
}

std::unique_ptr<Tokenizer> make_char_tokenizer(const std::string& vocab_json_file) {
  return make_char_tokenizer(read_char_vocab(vocab_json_file), vocab_json_file);
}

}  // namespace rk
