#include "comm/mpi_version.h"

#include <algorithm>

#include "comm/mpi/check_mpi.h"

namespace rk {

// "Open MPI v4.1.4, package: ..." and, over several lines, "MPICH Version:\t4.0.2": what stands before the first comma or line end.
std::string mpi_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
  int length = 0;
  check_mpi(MPI_Get_library_version(text, &length));
  std::string version(text, static_cast<size_t>(length));
  version = version.substr(0, version.find_first_of(",\n"));
  std::replace(version.begin(), version.end(), '\t', ' ');
  if (const size_t v = version.find(" v"); v != std::string::npos) version.erase(v + 1, 1);
  return version;
}

}  // namespace rk
