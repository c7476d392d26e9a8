// Signals that stop or save a run.
#pragma once
#include "train/trainer.h"

namespace rk {

// While alive: USR1, TERM, INT and HUP set flags.save_and_stop, USR2 sets save_and_go_on. One object at a time.
// `alone` (no mpirun above): the second INT, TERM or HUP prints a notice, the third leaves at once with exit code 130.
class StopSignals {
 public:
  StopSignals(StopFlags& flags, bool alone);
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  ~StopSignals();
};

// What is said at the first and second request, here and by the process above mpirun. Begins with a line end: the terminal shows ^C.
inline constexpr char first_stop_notice[] = "\nstopping: the state is saved after the current step\n";
inline constexpr char second_stop_notice[] = "\nstill stopping; once more leaves at once, without saving\n";
inline constexpr char third_stop_notice[] = "\nleft at once; the newest complete checkpoint is intact\n";

// For signal handlers and the moment before an exit: no locks, no memory.
void write_notice(const char* text);

// The kernel ends this process when the one that started it (mpirun, srun's daemon) dies.
void die_with_parent();

}  // namespace rk
