// Which part may include which (docs/architecture.md), and which foreign header belongs to which part.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "lint/sources.h"

namespace rk {
namespace {

using test::Include;
using test::SourceFile;

// Part -> parts directly below it. What these may include, it may include as well.
const std::map<std::string, std::set<std::string>>& below() {
  static const std::map<std::string, std::set<std::string>> table{
      {"base", {}},
      {"device", {"base"}},
      {"kernels", {"device"}},
      {"comm", {"device"}},
      {"params", {"device"}},
      {"data", {"base"}},
      {"io", {"device"}},
      {"nn", {"kernels", "params"}},
      {"shard", {"kernels", "comm", "params"}},
      {"model", {"nn", "io"}},
      {"train", {"model", "shard", "data", "io"}},
      {"launch", {"train"}},
  };
  return table;
}

// "src/nn/linear.h" and "nn/linear.h" both belong to nn.
std::string part_of(std::string path) {
  if (path.starts_with("src/")) path = path.substr(4);
  return path.substr(0, path.find('/'));
}

bool may_include(const std::string& part, const std::string& other) {
  if (part == other) return true;
  for (const std::string& b : below().at(part))
    if (may_include(b, other)) return true;
  return false;
}

void for_each_include(const std::function<void(const SourceFile&, size_t line, const Include&)>& visit) {
  for (const SourceFile& file : test::source_files())
    for (size_t i = 0; i < file.lines.size(); ++i)
      if (const Include include = test::include_of(file.lines[i]); !include.path.empty()) visit(file, i + 1, include);
}

TEST(Layers, IncludesPointDownward) {
  for_each_include([](const SourceFile& file, size_t line, const Include& include) {
    const std::string part = part_of(file.path), other = part_of(include.path);
    if (part == "tests" || !include.quoted) return;
    ASSERT_TRUE(below().contains(part)) << file.path << " belongs to no known part";
    ASSERT_TRUE(below().contains(other)) << file.path << ":" << line << " includes " << include.path << ", written without its part";
    EXPECT_TRUE(may_include(part, other)) << file.path << ":" << line << ": " << part << " may not include " << include.path;
  });
}

TEST(Layers, SystemHeadersStandInAngles) {
  for_each_include([](const SourceFile& file, size_t line, const Include& include) {
    if (include.quoted || file.path.starts_with("tests/")) return;
    EXPECT_FALSE(below().contains(part_of(include.path)) && include.path.ends_with(".h"))
        << file.path << ":" << line << " includes " << include.path << " like a system header";
  });
}

// A foreign library is seen by the part that wraps it and by nothing else.
TEST(Layers, ForeignLibrariesStayBehindTheirWrappers) {
  const std::map<std::string, std::set<std::string>> allowed{
      {"mpi.h", {"comm"}},
      {"nccl.h", {"comm", "tests"}},
      {"hdf5.h", {"io"}},
      {"zlib.h", {"io"}},
      {"cblas.h", {"kernels", "params"}},
      {"spdlog/spdlog.h", {"base"}},
      {"openssl/hmac.h", {"launch"}},
      {"openssl/rand.h", {"launch"}},
      {"CLI/CLI.hpp", {"train", "launch", "tests"}},
  };
  for_each_include([&](const SourceFile& file, size_t line, const Include& include) {
    const auto rule = allowed.find(include.path);
    if (rule == allowed.end()) return;
    EXPECT_TRUE(rule->second.contains(part_of(file.path))) << file.path << ":" << line << " includes " << include.path;
  });
}

// They take seconds to compile; a header would pass that on.
TEST(Layers, HeavyHeadersStayOutOfHeaders) {
  const std::set<std::string> heavy{"nlohmann/json.hpp", "CLI/CLI.hpp", "spdlog/spdlog.h", "gtest/gtest.h", "mpi.h"};
  for_each_include([&](const SourceFile& file, size_t line, const Include& include) {
    if (!file.is_header() || file.path.starts_with("tests/") || file.path.starts_with("comm/mpi/")) return;
    EXPECT_FALSE(heavy.contains(include.path)) << file.path << ":" << line << " includes " << include.path;
  });
}

}  // namespace
}  // namespace rk
