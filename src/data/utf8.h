// UTF-8 as Unicode 16 table 3-7 has it: no surrogates, no overlong forms, nothing above U+10FFFF.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace rk {

struct CodePoint {
  char32_t value = 0;
  int n_bytes = 0;  // of the character, or of the maximal invalid part
  bool valid = false;
};

// The character at the start of `bytes`, which are not empty.
CodePoint first_code_point(std::string_view bytes);

// Length of the longest valid prefix; a character that is cut at the end does not belong to it.
size_t valid_utf8_prefix(std::string_view bytes);

void append_utf8(std::string& out, char32_t value);

// "U+4E00 ('一')", for messages; control characters are shown by number only.
std::string describe_character(char32_t value);

}  // namespace rk
