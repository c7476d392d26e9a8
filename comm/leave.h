// How a process ends when an error is on its way out, with or without MPI.
#pragma once

namespace rk {

struct Place {
  int rank = 0, size = 1;
};
Place place_in_mpi();  // {0, 1} where MPI was never initialised

// Whether every rank came here within the time: then all are leaving, for a reason that they share. True at once without MPI.
// Called at most once, by a rank that will issue no other collective but finalize_mpi's.
bool all_ranks_leave(double timeout_s);

// Ends the whole job at once with `code`; without MPI, this process.
[[noreturn]] void abort_job(int code);

}  // namespace rk
