// Which HDF5 this program runs with.
#pragma once
#include <string>

namespace rk {

std::string hdf5_version();  // "1.10.8"

}  // namespace rk
