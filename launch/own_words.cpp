#include "launch/own_words.h"

#include "base/error.h"

namespace rk {

std::optional<std::string> take_word(std::vector<std::string>& words, const std::string& name) {
  std::optional<std::string> value;
  for (size_t i = 0; i < words.size();) {
    const size_t equals = words[i].find('=');
    if (words[i].substr(0, equals) != "--" + name) {
      ++i;
      continue;
    }
    const bool apart = equals == std::string::npos;
    if (apart && i + 1 == words.size()) fail(cat("--", name, " needs a value"));
    value = apart ? words[i + 1] : words[i].substr(equals + 1);
    const auto at = words.begin() + static_cast<std::ptrdiff_t>(i);
    words.erase(at, at + (apart ? 2 : 1));
  }
  return value;
}

std::string word_of(const std::vector<std::string>& words, const std::string& name) {
  std::vector<std::string> copy = words;
  return take_word(copy, name).value_or("");
}

}  // namespace rk
