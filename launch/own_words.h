// Commands that take the options of rookery train and a few of their own.
#pragma once
#include <optional>
#include <string>
#include <vector>

namespace rk {

// Takes `--name VALUE` or `--name=VALUE` out of the words; the last one counts. Nothing: it is not given.
std::optional<std::string> take_word(std::vector<std::string>& words, const std::string& name);
// What `--name` says, which stays; "" where it is not given.
std::string word_of(const std::vector<std::string>& words, const std::string& name);

}  // namespace rk
