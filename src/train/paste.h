// Command lines of other trainers, pasted as they stand.
#pragma once
#include <string>
#include <vector>

namespace rk {

struct PastedLine {
  std::vector<std::string> words;  // options and values only
  std::vector<std::string> notes;  // what was left out, one line each
};

// Leaves out environment prefixes (NAME=VALUE), python, torchrun or deepspeed with their own options, the script's name, line-end
// backslashes and a trailing comment; spells known options with two dashes and underscores ("--a-b", "-a_b" -> "--a_b").
PastedLine clean_pasted_line(const std::vector<std::string>& words);

}  // namespace rk
