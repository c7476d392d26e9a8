#include "launch/child_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/error.h"

extern char** environ;

namespace rk {
namespace {

void remove_variables(const std::vector<std::string>& prefixes) {
  std::vector<std::string> names;
  for (char** variable = environ; *variable; ++variable) {
    const std::string name(*variable, std::strcspn(*variable, "="));
    for (const std::string& prefix : prefixes)
      if (name.starts_with(prefix)) names.push_back(name);
  }
  for (const std::string& name : names) ::unsetenv(name.c_str());
}

// In the child: becomes the program, or tells through `report` why not.
[[noreturn]] void become(const ChildStart& start, pid_t parent, int report) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, start.signal_of_death);
  if (getppid() != parent) ::_exit(static_cast<int>(ExitCode::failure));
  ::sigprocmask(SIG_SETMASK, &start.mask, nullptr);
  const int null = ::open("/dev/null", O_RDONLY);
  if (null >= 0) ::dup2(null, STDIN_FILENO);
  if (start.output >= 0) {
    ::dup2(start.output, STDOUT_FILENO);
    ::dup2(start.output, STDERR_FILENO);
  }
  remove_variables(start.without);
  for (const std::string& variable : start.environment) {
    const size_t equals = variable.find('=');
    ::setenv(variable.substr(0, equals).c_str(), variable.substr(equals + 1).c_str(), 1);
  }
  std::vector<char*> argv;
  for (const std::string& word : start.command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  ::execvp(argv[0], argv.data());
  const int reason = errno;
  const ssize_t written = ::write(report, &reason, sizeof reason);
  (void)written;
  ::_exit(static_cast<int>(ExitCode::failure));
}

}  // namespace

ChildProcess::ChildProcess(const ChildStart& start) {
  int report[2];
  if (::pipe2(report, O_CLOEXEC) != 0) fail(cat("cannot make a pipe: ", std::strerror(errno)), ExitCode::failure);
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) become(start, parent, report[1]);
  ::close(report[1]);
  if (pid_ < 0) fail(cat("cannot start a process: ", std::strerror(errno)), ExitCode::failure);
  int reason = 0;
  const bool failed = ::read(report[0], &reason, sizeof reason) == sizeof reason;  // nothing to read: the pipe closed with exec
  ::close(report[0]);
  if (!failed) return;
  ::waitpid(pid_, nullptr, 0);
  fail(cat("cannot start ", start.command.front(), " (", std::strerror(reason), ")", start.advice));
}

std::optional<int> ChildProcess::exit_code() {
  int status = 0;
  if (!exit_code_ && ::waitpid(pid_, &status, WNOHANG) == pid_)
    exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return exit_code_;
}

void ChildProcess::signal(int number) {
  if (!exit_code_) ::kill(pid_, number);
}

void ChildProcess::signal_group(int number) {
  if (!exit_code_) ::kill(-pid_, number);
}

}  // namespace rk
