// Start and end of MPI, and where a rank stands on its host.
#include <cstdlib>

#include "comm/backends.h"
#include "comm/mpi/mpi_comm.h"
#include "comm/waited.h"

namespace rk {
namespace {

bool is_initialised() {
  int yes = 0;
  check_mpi(MPI_Initialized(&yes));
  return yes != 0;
}

bool is_finalised() {
  int yes = 0;
  check_mpi(MPI_Finalized(&yes));
  return yes != 0;
}

void initialise() {
  if (is_finalised()) fail("MPI has ended already in this process", ExitCode::failure);
  if (is_initialised()) return;
  int provided = MPI_THREAD_SINGLE;
  check_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided));
  if (provided < MPI_THREAD_FUNNELED)
    fail("this MPI does not allow threads beside the one that communicates; use Open MPI, or another MPI built with threads",
         ExitCode::failure);
  check_mpi(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
}

}  // namespace

bool under_mpi() {
  // Open MPI's mpirun; srun --mpi=pmix and other PMIx launchers; MPICH's Hydra and other PMI launchers.
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"})
    if (std::getenv(name)) return true;
  return false;
}

std::unique_ptr<Comm> make_mpi_comm(size_t max_message_bytes) {
  initialise();
  MPI_Comm world = MPI_COMM_NULL;
  check_mpi(MPI_Comm_dup(MPI_COMM_WORLD, &world));
  return std::make_unique<MpiComm>(world, max_message_bytes, std::make_shared<MpiProgress>());
}

std::unique_ptr<Comm> make_mpi_comm() { return make_mpi_comm(kMaxMessageBytes); }

void finalize_mpi() {
  if (!is_initialised() || is_finalised()) return;
  check_mpi(MPI_Barrier(MPI_COMM_WORLD));  // with some launchers the first rank that leaves takes the others along
  check_mpi(MPI_Finalize());
}

int local_rank(Comm& world) {
  const auto* mpi = dynamic_cast<const MpiComm*>(&world.host());
  return mpi ? mpi->local_rank() : world.rank();
}

double waited_s(Comm& world) {
  const auto* mpi = dynamic_cast<const MpiComm*>(&world.host());
  return mpi ? mpi->waited_s() : 0;
}

int local_size(Comm& world) {
  const auto* mpi = dynamic_cast<const MpiComm*>(&world.host());
  return mpi ? mpi->local_size() : world.size();
}

}  // namespace rk
