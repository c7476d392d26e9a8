// Documents name files that exist.
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>

#include "lint/sources.h"

namespace rk {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> documents() {
  std::vector<std::string> all{"README.md", "slurm/README.md"};
  for (const auto& entry : fs::directory_iterator(ROOKERY_SOURCE_DIR "/docs")) all.push_back("docs/" + entry.path().filename().string());
  return all;
}

TEST(Docs, PathsExist) {
  const std::regex path("\\b(src|kernels|comm|launch|tests|docs|configs|slurm)/[A-Za-z0-9_./-]*[A-Za-z0-9_]");
  int n_paths = 0;
  for (const std::string& document : documents()) {
    const std::string text = test::read_text(document);
    for (std::sregex_iterator m(text.begin(), text.end(), path), end; m != end; ++m, ++n_paths) {
      const std::string next = m->suffix().str().substr(0, 2);
      if (next.starts_with('<') || next == "/<") continue;  // a name to fill in
      EXPECT_TRUE(fs::exists(fs::path(ROOKERY_SOURCE_DIR) / m->str())) << document << " names " << m->str();
    }
  }
  EXPECT_GT(n_paths, 40);
}

}  // namespace
}  // namespace rk
