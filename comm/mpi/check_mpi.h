// The one include of MPI, without its C++ bindings, and the check of every call.
#pragma once
#define OMPI_SKIP_MPICXX 1
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include "base/error.h"

namespace rk {

// Throws what MPI says of `code` unless it is MPI_SUCCESS.
void check_mpi(int code, Where at = Where::here());

}  // namespace rk
