#include "lint/sources.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace rk::test {
namespace {

namespace fs = std::filesystem;

SourceFile load(const fs::path& file) {
  SourceFile s;
  s.path = file.lexically_relative(ROOKERY_SOURCE_DIR).generic_string();
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) s.lines.push_back(std::move(line));
  return s;
}

std::vector<SourceFile> load_all() {
  std::vector<SourceFile> files;
  for (const char* folder : {"src", "kernels", "comm", "launch", "tests"})
    for (const auto& entry : fs::recursive_directory_iterator(fs::path(ROOKERY_SOURCE_DIR) / folder)) {
      const auto ending = entry.path().extension();
      if (entry.is_regular_file() && (ending == ".h" || ending == ".cpp")) files.push_back(load(entry.path()));
    }
  std::sort(files.begin(), files.end(), [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return files;
}

}  // namespace

const std::vector<SourceFile>& source_files() {
  static const std::vector<SourceFile> files = load_all();
  return files;
}

Include include_of(const std::string& line) {
  constexpr std::string_view kWord = "#include ";
  if (!line.starts_with(kWord) || line.size() < kWord.size() + 2) return {};
  const char open = line[kWord.size()];
  const auto begin = kWord.size() + 1, end = line.find(open == '<' ? '>' : '"', begin);
  if (end == std::string::npos) return {};
  return {line.substr(begin, end - begin), open == '"'};
}

std::string read_text(const std::string& path_from_root) {
  std::ifstream in(fs::path(ROOKERY_SOURCE_DIR) / path_from_root);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace rk::test
