#include "launch/signal_queue.h"

#include <sys/signalfd.h>

#include "base/error.h"

namespace rk {

SignalQueue::SignalQueue() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP, SIGCHLD}) sigaddset(&set, signal);
  struct sigaction action {};
  ::sigaction(SIGHUP, nullptr, &action);
  if (action.sa_handler != SIG_IGN) sigaddset(&set, SIGHUP);
  ::sigprocmask(SIG_BLOCK, &set, &before_);
  fd_ = FileDescriptor(::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
  require(static_cast<bool>(fd_), "the kernel has signalfd");
}

SignalQueue::~SignalQueue() { ::sigprocmask(SIG_SETMASK, &before_, nullptr); }

std::optional<int> SignalQueue::next() {
  signalfd_siginfo info{};
  if (::read(fd_.get(), &info, sizeof info) != sizeof info) return {};
  return static_cast<int>(info.ssi_signo);
}

}  // namespace rk
