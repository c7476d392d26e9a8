#include "launch/signals.h"

#include <sys/prctl.h>
#include <unistd.h>
#include <csignal>
#include <cstring>

namespace rk {
namespace {

// What the handlers reach; a handler has no other way to its object.
std::atomic<StopFlags*> target{nullptr};
std::atomic<bool> leaves_on_third{false};
std::atomic<int> requests{0};

constexpr int stop_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};

void on_stop(int signal) {
  StopFlags* flags = target.load();
  if (!flags) return;
  flags->save_and_stop = true;
  if (signal == SIGTERM) flags->terminated = true;
  if (!leaves_on_third || signal == SIGUSR1) return;
  const int n = ++requests;
  if (n == 1) write_notice(first_stop_notice);
  if (n == 2) write_notice(second_stop_notice);
  if (n < 3) return;
  write_notice(third_stop_notice);
  _exit(static_cast<int>(ExitCode::left_at_once));
}

void on_save(int) {
  if (StopFlags* flags = target.load()) flags->save_and_go_on = true;
}

void handle(int signal, void (*handler)(int)) {
  struct sigaction action {};
  ::sigaction(signal, nullptr, &action);
  if (signal == SIGHUP && action.sa_handler == SIG_IGN) return;  // nohup
  action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  ::sigaction(signal, &action, nullptr);
}

}  // namespace

StopSignals::StopSignals(StopFlags& flags, bool alone) {
  target = &flags;
  leaves_on_third = alone;
  requests = 0;
  for (int signal : stop_signals) handle(signal, on_stop);
  handle(SIGUSR2, on_save);
}

// The handlers stay: a signal that arrives after the end of training must not undo its exit code.
StopSignals::~StopSignals() { target = nullptr; }

void write_notice(const char* text) {
  const ssize_t written = ::write(STDERR_FILENO, text, std::strlen(text));
  (void)written;  // a closed terminal is no reason to stop
}

void die_with_parent() {
  const pid_t parent = getppid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) ::_exit(static_cast<int>(ExitCode::failure));  // it died before the line above
}

}  // namespace rk
