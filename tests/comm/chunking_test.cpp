#include "comm/chunking.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>
#include <vector>

namespace rk {
namespace {

std::vector<std::pair<size_t, int>> pieces(size_t n_bytes, size_t limit) {
  std::vector<std::pair<size_t, int>> all;
  for_each_chunk(n_bytes, limit, [&](size_t offset, int n) { all.emplace_back(offset, n); });
  return all;
}

TEST(Chunking, CoversEveryByteOnce) {
  using Pieces = std::vector<std::pair<size_t, int>>;
  EXPECT_EQ(pieces(0, 4), Pieces{});
  EXPECT_EQ(pieces(4, 4), (Pieces{{0, 4}}));
  EXPECT_EQ(pieces(9, 4), (Pieces{{0, 4}, {4, 4}, {8, 1}}));
}

TEST(Chunking, CountsBeyondAnIntAreCut) {
  const size_t n_bytes = (size_t{3} << 31) + 5;
  const auto all = pieces(n_bytes, kMaxMessageBytes);
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[0].second, INT_MAX);
  EXPECT_EQ(all.back().first + static_cast<size_t>(all.back().second), n_bytes);
}

}  // namespace
}  // namespace rk
