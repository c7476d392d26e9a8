// The communicators that exist.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "comm/comm.h"
#include "device/gpu.h"

namespace rk {

// A world of one. With a GPU its memory is taken, too.
std::unique_ptr<Comm> make_self_comm(Gpu* gpu = nullptr);

// Runs body(comm) on `size` ranks as threads of this process and returns when all are done; the first exception is
// thrown again here after all other ranks were released (a rank waiting for a dead one throws too).
void run_thread_world(int size, const std::function<void(Comm&)>& body);

// MPI is initialised (MPI_THREAD_FUNNELED) by the first call and finalised by finalize_mpi(). The communicator is a
// duplicate of MPI_COMM_WORLD; all calls come from the thread that made it.
std::unique_ptr<Comm> make_mpi_comm();
// The ranks of `host` with a GPU each: tensors of the host, barriers and abort() go to `host`, tensors of the GPU over NCCL on a stream of
// its own, behind the work that gpu.stream() has by then. One thread at a time issues and waits. fail()s in a build without NCCL.
std::unique_ptr<Comm> make_gpu_comm(std::unique_ptr<Comm> host, Gpu& gpu);
std::string nccl_version();  // "2.28.9"; empty in a build without NCCL

bool under_mpi();             // started by mpirun, srun --mpi=pmix, ... (looks at the environment, starts nothing)
void finalize_mpi();          // waits for all ranks; does nothing when MPI was never initialised
int local_rank(Comm& world);  // place among the ranks of this host
int local_size(Comm& world);

}  // namespace rk
