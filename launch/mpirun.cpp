#include "launch/mpirun.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "base/error.h"
#include "base/log.h"
#include "launch/signals.h"

namespace rk {
namespace {

std::string own_path() {
  char path[4096];
  const ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
  if (n <= 0 || n == sizeof path) fail("cannot find the path of this program in /proc/self/exe", ExitCode::failure);
  return {path, static_cast<size_t>(n)};
}

std::vector<std::string> mpirun_command(int ranks, const std::vector<std::string>& words) {
  // --quiet: an exit code that all ranks agreed on is no news to explain. The keep-alive settings notice a host without power.
  std::vector<std::string> command = {"mpirun",   "--quiet", "--oversubscribe",          "--bind-to", "none",  "-n",
                                      cat(ranks), "--mca",   "oob_tcp_keepalive_time",   "30",        "--mca", "oob_tcp_keepalive_intvl",
                                      "10",       "--mca",   "oob_tcp_keepalive_probes", "3"};
  if (ranks > n_cores()) command.insert(command.end(), {"--mca", "mpi_yield_when_idle", "1"});
  command.push_back(own_path());
  command.insert(command.end(), words.begin(), words.end());
  return command;
}

sigset_t watched_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP, SIGCHLD}) sigaddset(&set, signal);
  struct sigaction action {};
  ::sigaction(SIGHUP, nullptr, &action);
  if (action.sa_handler != SIG_IGN) sigaddset(&set, SIGHUP);  // ignored: nohup
  return set;
}

// In the child: becomes mpirun, or tells through `report` why not.
[[noreturn]] void become_mpirun(const std::vector<std::string>& command, const sigset_t& mask, pid_t parent, int report) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) ::_exit(static_cast<int>(ExitCode::failure));
  ::sigprocmask(SIG_SETMASK, &mask, nullptr);
  const int null = ::open("/dev/null", O_RDONLY);
  if (null >= 0) ::dup2(null, STDIN_FILENO);
  if (::geteuid() == 0) {  // containers; for this one call only
    ::setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
    ::setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
  }
  std::vector<char*> argv;
  for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  ::execvp(argv[0], argv.data());
  const int reason = errno;
  const ssize_t written = ::write(report, &reason, sizeof reason);
  (void)written;
  ::_exit(static_cast<int>(ExitCode::failure));
}

pid_t start(const std::vector<std::string>& command, const sigset_t& mask) {
  int report[2];
  if (::pipe2(report, O_CLOEXEC) != 0) fail(cat("cannot make a pipe: ", std::strerror(errno)), ExitCode::failure);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) become_mpirun(command, mask, parent, report[1]);
  ::close(report[1]);
  if (child < 0) fail(cat("cannot start a process: ", std::strerror(errno)), ExitCode::failure);
  int reason = 0;
  const bool failed = ::read(report[0], &reason, sizeof reason) == sizeof reason;  // nothing to read: the pipe closed with exec
  ::close(report[0]);
  if (!failed) return child;
  ::waitpid(child, nullptr, 0);
  fail(cat("cannot start mpirun (", std::strerror(reason), "), which --devices above 1 needs; install Open MPI or leave --devices out"));
}

// The exit code of the run. Codes that rookery gives have been explained by the ranks.
int explained(int status) {
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  for (ExitCode known : {ExitCode::done, ExitCode::failure, ExitCode::bad_input, ExitCode::hang, ExitCode::interrupted})
    if (code == static_cast<int>(known)) return code;
  const std::string what = code > 128 ? cat("a rank or mpirun died by signal ", code - 128, " (", ::strsignal(code - 128), ")")
                                      : cat("mpirun ended with exit code ", code);
  log_error(what + "; continue with --resume auto");
  return static_cast<int>(ExitCode::failure);
}

}  // namespace

int n_cores() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
}

int run_under_mpirun(int ranks, const std::vector<std::string>& words) {
  const std::vector<std::string> command = mpirun_command(ranks, words);
  const sigset_t watched = watched_signals();
  sigset_t before;
  ::sigprocmask(SIG_BLOCK, &watched, &before);
  const pid_t mpirun = start(command, before);
  log_info(cat("started ", ranks, " ranks under mpirun; Ctrl+C saves and stops"));
  int requests = 0;
  for (;;) {
    const int signal = ::sigwaitinfo(&watched, nullptr);
    if (signal == SIGCHLD) {
      int status = 0;
      if (::waitpid(mpirun, &status, WNOHANG) == mpirun) return explained(status);
    } else if (signal == SIGUSR1 || signal == SIGUSR2) {
      ::kill(mpirun, signal);
    } else if (signal == SIGTSTP) {
      ::kill(mpirun, SIGTSTP);
      ::raise(SIGSTOP);  // goes on below when the shell continues this job
      ::kill(mpirun, SIGCONT);
    } else if (signal > 0 && ++requests == 1) {
      write_notice(first_stop_notice);
      ::kill(mpirun, SIGUSR1);
    } else if (signal > 0 && requests == 2) {
      write_notice(second_stop_notice);
    } else if (signal > 0) {
      write_notice(third_stop_notice);
      ::kill(mpirun, SIGTERM);
      return static_cast<int>(ExitCode::left_at_once);
    }
  }
}

}  // namespace rk
