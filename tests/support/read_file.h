// The bytes of a file.
#pragma once
#include <fstream>
#include <sstream>
#include <string>

namespace rk::testing_support {

inline std::string read_file(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream(path, std::ios::binary).rdbuf();
  return out.str();
}

}  // namespace rk::testing_support
