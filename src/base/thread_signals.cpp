#include "base/thread_signals.h"

#include <csignal>

namespace rk {

void leave_signals_to_others() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace rk
