// Errors: fail() for what a user can cause, require() for promises inside the program.
#pragma once
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace rk {

// Exit codes of every rookery program (docs/formats.md lists them for users).
enum class ExitCode : int {
  done = 0,
  failure = 1,         // anything without a code of its own
  bad_input = 2,       // bad input or a refused combination; nothing was changed
  hang = 70,           // the watchdog gave up waiting for a collective
  interrupted = 75,    // stopped by a signal, state saved, resume me
  left_at_once = 130,  // left on request without saving
};

// A place in the source, recorded by default arguments (std::source_location is not available to clang-tidy 14).
struct Where {
  const char* file;
  int line;
  static constexpr Where here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }
};

// The one exception type of the program: what() is a sentence for the user.
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message, Where at) : std::runtime_error(message), code_(code), at_(at) {}
  ExitCode code() const { return code_; }
  Where at() const { return at_; }

 private:
  ExitCode code_;
  Where at_;
};

// Joins its arguments as text.
template <class... Parts>
std::string cat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

// What the user can cause: names file and value, and says what to do next. Leaves with exit code 2 by default.
[[noreturn]] void fail(const std::string& message, ExitCode code = ExitCode::bad_input, Where at = Where::here());

// A promise inside the program; its breach is a bug and leaves with exit code 1.
[[noreturn]] void broken_promise(const char* message, Where at);
inline void require(bool holds, const char* message, Where at = Where::here()) {
  if (!holds) [[unlikely]]
    broken_promise(message, at);
}

}  // namespace rk
