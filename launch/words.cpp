#include "launch/words.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/error.h"

namespace rk {

bool parse_words(CLI::App& app, int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  for (std::string& word : words)
    if (word.starts_with("--"))
      std::replace(word.begin() + 2, word.begin() + static_cast<std::ptrdiff_t>(std::min(word.find('='), word.size())), '-', '_');
  std::reverse(words.begin(), words.end());  // CLI11 takes words from the back
  try {
    app.parse(words);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() != 0) fail(cat(app.get_name(), ": ", e.what(), "; ", app.get_name(), " --help shows the options"));
    app.exit(e);
    return false;
  }
  return true;
}

}  // namespace rk
