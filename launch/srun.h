// Starts by srun that cannot work.
#pragma once
#include "launch/rendezvous/launch_options.h"

namespace rk {

// A process of a job step with several tasks, of which none was told of the others in a way that this MPI understands.
struct SrunStart {
  bool lacks_pmix = false;
  bool speaks = false;  // the task that has to say so
  int n_tasks = 0;
};
SrunStart srun_start(const Environment& environment);

}  // namespace rk
