// Signals and threads.
#pragma once

namespace rk {

// In a thread of its own, first of all: signals belong to the training thread.
void leave_signals_to_others();

}  // namespace rk
