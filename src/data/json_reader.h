// A strict cursor over JSON text: the caller reads what it expects, and everything else is only checked.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace rk {

// RFC 8259; NaN and Infinity pass, as in Python. Whatever is wrong is a TextError with its offset in the text. Depth of nesting costs
// memory in proportion, never stack.
class JsonReader {
 public:
  static constexpr size_t absent = std::string_view::npos;

  // The text outlives the reader.
  explicit JsonReader(std::string_view text);

  // The first character of the next value, behind white space; '\0' at the end of the text.
  char next();

  // An object. places[i] is where the value of keys[i] begins, of equal keys that of the last, or `absent`. All values are checked.
  void object(std::span<const std::string_view> keys, std::span<size_t> places);

  // An array; element() reads one value.
  template <class Element>
  void array(Element&& element) {
    if (!first_element()) return;
    do element();
    while (next_element());
  }

  // A string: a view into the text, or into `unescaped` where it holds escapes. Half a surrogate pair is refused.
  std::string_view string(std::string& unescaped);

  void skip_value();
  void end();  // refuses what is not white space

  size_t at() const { return at_; }
  void seek(size_t place) { at_ = place; }
  std::string_view text() const { return text_; }

  [[noreturn]] void refuse(const std::string& reason, Where where = Where::here()) const { refuse_at(at_, reason, where); }

 private:
  // A string without its quotes.
  struct RawString {
    std::string_view text;
    bool escaped = false;
  };

  [[noreturn]] void refuse_at(size_t offset, const std::string& reason, Where where = Where::here()) const;
  void skip_space();
  bool take(char c);
  bool take(std::string_view word);
  std::string_view member_key();
  bool first_element();
  bool next_element();
  RawString raw_string();
  void skip_escape();
  std::string_view unescape(std::string_view text, std::string& out, bool is_text) const;
  void close_containers();
  void skip_scalar();
  size_t skip_digits();
  void skip_number();

  std::string_view text_;
  size_t at_ = 0;
  std::string open_;  // '{' or '[' of each container around at_ while a value is skipped
  std::string key_;
};

}  // namespace rk
