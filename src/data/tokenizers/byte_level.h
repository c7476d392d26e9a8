// The byte-level pre-tokenizer of GPT-2 and GPT-NeoX (golden data §2): a text is cut into pieces, between which nothing is ever merged.
#pragma once
#include <string>
#include <string_view>

#include "data/tokenizers/unicode.h"

namespace rk {

// Vocabularies write each byte as one printable character. Nothing: `token` holds a character that stands for no byte.
bool bytes_of_byte_level(std::string_view token, std::string& bytes);

class BytePieces {
 public:
  explicit BytePieces(const UnicodeTables& tables) : tables_(tables) {
    for (char32_t c = 0; c < 128; ++c) ascii_[c] = tables.class_of(c);
  }

  // Calls visit(piece) for the pieces of valid UTF-8 in their order. They are the matches of
  // 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
  template <class Visit>
  void for_each(std::string_view text, Visit&& visit) const {
    const char* const end = text.data() + text.size();
    for (const char* at = text.data(); at != end;) {
      const char* const begin = at;
      if (*at == '\'') at = contraction_end(at, end);
      if (at == begin) {
        Step step = class_at(at);
        if (*at == ' ' && at + 1 != end) {  // one space goes with what follows it
          const Step second = class_at(at + 1);
          if (second.its != CharClass::white_space) step = {second.its, second.n_bytes + 1};
        }
        at = step.its == CharClass::white_space ? white_space_end(at, end) : run_end(at + step.n_bytes, end, step.its);
      }
      visit(std::string_view(begin, static_cast<size_t>(at - begin)));
    }
  }

 private:
  struct Step {
    CharClass its;
    int n_bytes;
  };
  Step class_at(const char* at) const {
    if (static_cast<uint8_t>(*at) < 0x80) return {ascii_[static_cast<uint8_t>(*at)], 1};
    const ValidCodePoint c = valid_code_point(at);
    return {tables_.class_of(c.value), c.n_bytes};
  }

  const char* run_end(const char* at, const char* end, CharClass its) const {
    while (at != end) {
      const Step step = class_at(at);
      if (step.its != its) break;
      at += step.n_bytes;
    }
    return at;
  }

  // In front of something else, the last character of a run of white space is left over.
  const char* white_space_end(const char* at, const char* end) const {
    const char* last = at;
    const char* next = at;
    while (next != end) {
      const Step step = class_at(next);
      if (step.its != CharClass::white_space) break;
      last = next;
      next += step.n_bytes;
    }
    return next == end || last == at ? next : last;
  }

  static const char* contraction_end(const char* at, const char* end) {
    const auto follows = [&](char a) { return at + 1 != end && at[1] == a; };
    const auto follow = [&](char a, char b) { return end - at > 2 && at[1] == a && at[2] == b; };
    if (follows('s') || follows('t') || follows('m') || follows('d')) return at + 2;
    if (follow('r', 'e') || follow('v', 'e') || follow('l', 'l')) return at + 3;
    return at;
  }

  const UnicodeTables& tables_;
  CharClass ascii_[128];
};

}  // namespace rk
