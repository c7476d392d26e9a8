#include "train/paste.h"

#include <algorithm>
#include <cctype>
#include <string_view>

#include "base/error.h"
#include "train/config_option.h"

namespace rk {
namespace {

bool is_assignment(std::string_view word) {
  const size_t equals = word.find('=');
  if (equals == 0 || equals == std::string_view::npos || std::isdigit(static_cast<unsigned char>(word[0]))) return false;
  return std::all_of(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(equals),
                     [](unsigned char c) { return std::isalnum(c) || c == '_'; });
}

bool is_launcher(std::string_view word) {
  const size_t slash = word.rfind('/');
  if (slash != std::string_view::npos) word.remove_prefix(slash + 1);
  return word.starts_with("python") || word == "torchrun" || word == "deepspeed" || word == "accelerate" || word == "rookery";
}

bool is_script(std::string_view word) { return word.ends_with(".py"); }

std::string joined(std::vector<std::string>::const_iterator begin, std::vector<std::string>::const_iterator end) {
  std::string text;
  for (auto word = begin; word != end; ++word) text += cat(text.empty() ? "" : " ", *word);
  return text;
}

// How many words stand before the first option: a launcher's options belong to it up to the script's name.
size_t prefix_length(const std::vector<std::string>& words) {
  size_t n = 0;
  while (n < words.size() && is_assignment(words[n])) ++n;
  if (n < words.size() && is_launcher(words[n])) {
    const auto script = std::find_if(words.begin() + static_cast<std::ptrdiff_t>(n), words.end(), is_script);
    if (script != words.end()) return static_cast<size_t>(script - words.begin()) + 1;
    ++n;
    if (n < words.size() && words[n] == "train") ++n;
    return n;
  }
  if (n < words.size() && is_script(words[n])) ++n;
  return n;
}

void add_with_plain_name(const std::string& word, std::vector<std::string>& out) {
  const size_t equals = std::min(word.find('='), word.size());
  const std::string name = plain_spelling(word.substr(0, equals));
  if (word.size() < 2 || word[0] != '-' || !find_option(name)) {
    out.push_back(word);
    return;
  }
  out.push_back("--" + name);
  if (equals < word.size()) out.push_back(word.substr(equals + 1));
}

}  // namespace

PastedLine clean_pasted_line(const std::vector<std::string>& words) {
  PastedLine line;
  std::vector<std::string> kept;
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i].starts_with('#')) {
      line.notes.push_back(cat("left out the comment: ", joined(words.begin() + static_cast<std::ptrdiff_t>(i), words.end())));
      break;
    }
    if (words[i] != "\\" && words[i] != "\\\n") kept.push_back(words[i]);
  }
  const size_t prefix = prefix_length(kept);
  const auto begin = kept.begin() + static_cast<std::ptrdiff_t>(prefix);
  if (prefix) line.notes.push_back(cat("left out the words before the options: ", joined(kept.begin(), begin)));
  for (auto word = begin; word != kept.end(); ++word) add_with_plain_name(*word, line.words);
  return line;
}

}  // namespace rk
