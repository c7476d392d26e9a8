#include "comm/mpi/check_mpi.h"

namespace rk {

void check_mpi(int code, Where at) {
  if (code == MPI_SUCCESS) [[likely]]
    return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(code, text, &length);
  fail(cat("MPI: ", std::string(text, static_cast<size_t>(length)), " (", at.file, ":", at.line, ")"), ExitCode::failure, at);
}

}  // namespace rk
