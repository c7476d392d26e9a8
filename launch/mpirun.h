// Several ranks on this host without a typed mpirun.
#pragma once
#include <string>
#include <vector>

namespace rk {

// Runs `rookery words...` as `ranks` processes under mpirun and returns its exit code, which is the ranks'. mpirun has a process group of
// its own, so that the terminal's Ctrl+C reaches this process only: the first INT, TERM or HUP becomes USR1 for all ranks (save and
// leave), the second a notice, the third ends everything and returns 130. USR1, USR2 and Ctrl+Z are passed on.
int run_under_mpirun(int ranks, const std::vector<std::string>& words);

int n_cores();  // that this process may use

}  // namespace rk
