// Which MPI this program runs with.
#pragma once
#include <string>

namespace rk {

std::string mpi_version();  // "Open MPI 4.1.4"; also before MPI is initialised

}  // namespace rk
