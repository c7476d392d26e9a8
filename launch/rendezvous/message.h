// What launchers say to each other.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rk {

struct Message {
  enum class Kind : char {
    alive,      // nothing to say, but still there
    suspended,  // stopped by Ctrl+Z; says nothing until it goes on
    join,       // follower: who it is (Introduction)
    welcome,    // leader: {program, working directory}; the follower looks whether it has both
    ready,      // follower: waits for the start
    refused,    // either: {sentence}; the connection ends
    start,      // leader, or an agent: {node, command for a shell, NAME=VALUE...}
    output,     // follower: {text} of what was started
    ended,      // what was started has ended: {exit code}
    stop,       // leader: end what was started, which should be ending by itself
    request,    // follower: {signal number} for the run, typed there
    leave,      // either: the user wants out at once
    finish,     // leader: {exit code} of the run
  };
  Kind kind{};
  std::vector<std::string> words;

  std::string word(size_t i) const { return i < words.size() ? words[i] : std::string(); }
  int number(size_t i) const;  // of a word; -1 where it is none
};

std::string encode(const Message& message);
std::optional<Message> decode(std::string_view bytes);  // nothing where the bytes are no message

}  // namespace rk
