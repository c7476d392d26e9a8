#include "io/hdf5_version.h"

#include "base/error.h"
#include "io/hdf5/handles.h"

namespace rk {

std::string hdf5_version() {
  const h5::Session session;
  unsigned major = 0, minor = 0, release = 0;
  require(H5get_libversion(&major, &minor, &release) >= 0, "HDF5 tells its version");
  return cat(major, ".", minor, ".", release);
}

}  // namespace rk
