#include "comm/mpi/check_mpi.h"
#include "comm/mpi_version.h"

namespace rk {

// Open MPI's text is "Open MPI v4.1.4, package: ..., ident: ...": what follows the comma is about the build.
std::string mpi_version() {
  char text[MPI_MAX_LIBRARY_VERSION_STRING];
  int n = 0;
  check_mpi(MPI_Get_library_version(text, &n));
  std::string version(text, static_cast<size_t>(n));
  version = version.substr(0, version.find_first_of(",\n"));
  if (const size_t v = version.find(" v"); v != std::string::npos) version.erase(v + 1, 1);
  return version;
}

}  // namespace rk
