// The text of one line of a .jsonl file: a strict parser that looks for one key and only checks the rest.
#pragma once
#include <string>
#include <string_view>

namespace rk {

// `line` is one JSON object (RFC 8259; NaN and Infinity pass, as in Python) and valid UTF-8. The value of `key`, which must be a
// string, is a view into the line, or into `unescaped` where it holds escapes. Of equal keys the last counts. Whatever is wrong is a
// TextError with its offset in the line. Depth of nesting costs memory in proportion, never stack.
std::string_view json_text(std::string_view line, std::string_view key, std::string& unescaped);

// The same, and what tools of gpt-neox also take: a list of strings, which are joined by blank lines, in place of the value, and a string
// in place of the object.
std::string_view json_text_or_paragraphs(std::string_view line, std::string_view key, std::string& unescaped);

}  // namespace rk
