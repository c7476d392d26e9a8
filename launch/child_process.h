// A program that this process starts, signals and waits for.
#pragma once
#include <sys/types.h>

#include <csignal>
#include <optional>
#include <string>
#include <vector>

namespace rk {

struct ChildStart {
  std::vector<std::string> command;      // found on PATH
  std::vector<std::string> environment;  // NAME=VALUE, set beside what this process has
  std::vector<std::string> without;      // prefixes of names that the child does not get
  int output = -1;                       // becomes its standard output and error
  int signal_of_death = SIGTERM;         // what it gets when this process dies
  sigset_t mask{};                       // signals that are blocked in it
  std::string advice;                    // said when it cannot be started
};

// In a process group of its own, without input: the terminal's Ctrl+C reaches this process only.
class ChildProcess {
 public:
  explicit ChildProcess(const ChildStart& start);  // fail()s when it cannot be started
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Its exit code, 128 + signal for one that was killed; empty while it runs. Never waits.
  std::optional<int> exit_code();
  void signal(int number);        // nothing once it has ended
  void signal_group(int number);  // and all of its process group

 private:
  pid_t pid_ = -1;
  std::optional<int> exit_code_;
};

}  // namespace rk
