#include "io/hdf5_version.h"

#include <hdf5.h>

#include "base/error.h"

namespace rk {

std::string hdf5_version() {
  unsigned major = 0, minor = 0, release = 0;
  require(H5get_libversion(&major, &minor, &release) >= 0, "HDF5 tells its version");
  return cat(major, ".", minor, ".", release);
}

}  // namespace rk
