#include "launch/srun.h"

#include <cstdlib>

namespace rk {

// Scripts of sbatch have no SLURM_STEP_NUM_TASKS, a shell of salloc has one task: both may start mpirun. Under --mpi=pmi2 there is
// PMI_RANK, which Open MPI does not understand as Debian and Ubuntu build it.
SrunStart srun_start(const Environment& environment) {
  SrunStart start;
  start.n_tasks = std::atoi(environment("SLURM_STEP_NUM_TASKS").c_str());
  const bool is_task = start.n_tasks > 1 && !environment("SLURM_PROCID").empty();
  start.lacks_pmix = is_task && environment("PMIX_RANK").empty() && environment("OMPI_COMM_WORLD_SIZE").empty();
  start.speaks = environment("SLURM_PROCID") == "0";
  return start;
}

}  // namespace rk
