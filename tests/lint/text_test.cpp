// Rules that hold for the text of every source file.
#include <gtest/gtest.h>

#include <algorithm>
#include <regex>

#include "lint/sources.h"

namespace rk {
namespace {

using test::SourceFile;

void expect_no_line(const std::regex& pattern, const char* why) {
  for (const SourceFile& file : test::source_files())
    for (size_t i = 0; i < file.lines.size(); ++i)
      EXPECT_FALSE(std::regex_search(file.lines[i], pattern)) << file.path << ":" << i + 1 << ": " << why << "\n  " << file.lines[i];
}

TEST(Text, NoTabsAndNoBlanksAtLineEnds) { expect_no_line(std::regex("\t|[ \r]$"), "a tab, or a blank at the end"); }

TEST(Text, NoDisabledCode) { expect_no_line(std::regex("^ *#if +0"), "delete it, git remembers"); }

// The words are put together here so that this file does not hold them.
TEST(Text, NothingIsLeftForLater) {
  const std::string words = std::string("TO") + "DO|FIX" + "ME|XX" + "X";
  expect_no_line(std::regex("\\b(" + words + ")\\b"), "finish it or leave it out");
}

TEST(Text, HeadersAreIncludedOnce) {
  for (const SourceFile& file : test::source_files()) {
    if (!file.is_header()) continue;
    EXPECT_NE(std::find(file.lines.begin(), file.lines.end(), "#pragma once"), file.lines.end()) << file.path;
  }
}

// A header begins by saying what it is for.
TEST(Text, HeadersBeginWithAComment) {
  for (const SourceFile& file : test::source_files()) {
    if (!file.is_header() || file.lines.empty()) continue;
    EXPECT_TRUE(file.lines[0].starts_with("//")) << file.path;
  }
}

TEST(Text, SourceFilesStayReadable) {
  constexpr size_t kMost = 500;
  for (const SourceFile& file : test::source_files())
    EXPECT_LE(file.lines.size(), kMost) << file.path << " has " << file.lines.size() << " lines: it holds more than one idea";
}

}  // namespace
}  // namespace rk
