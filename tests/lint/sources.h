// The source files of the repository, as the checks of this folder read them.
#pragma once
#include <string>
#include <vector>

namespace rk::test {

struct SourceFile {
  std::string path;  // relative to the root of the repository
  std::vector<std::string> lines;
  bool is_header() const { return path.ends_with(".h"); }
};

// All .h and .cpp files of the product and its tests.
const std::vector<SourceFile>& source_files();

// What a line includes: the path, and whether it stands in quotes. Empty for other lines.
struct Include {
  std::string path;
  bool quoted = false;
};
Include include_of(const std::string& line);

std::string read_text(const std::string& path_from_root);

}  // namespace rk::test
