#include "data/mt19937.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace rk {
namespace {

TEST(MersenneTwister, GivesThePublishedSequence) {
  MersenneTwister twister(5489);
  EXPECT_EQ(twister.next(), 3499211612u);
  for (int i = 2; i < 10000; ++i) twister.next();
  EXPECT_EQ(twister.next(), 4123659995u);  // the 10000th
}

TEST(MersenneTwister, IsSeededByAnArrayAsPublished) {
  const std::vector<uint32_t> key = {0x123, 0x234, 0x345, 0x456};
  MersenneTwister twister{std::span<const uint32_t>(key)};
  for (uint32_t expected : {1067595299u, 955945823u, 477289528u, 4107218783u, 4228976476u}) EXPECT_EQ(twister.next(), expected);
}

std::vector<int> shuffled(PythonRandom& random, std::vector<int> list) {
  random.shuffle(std::span(list));
  return list;
}

std::vector<int> shuffled(int64_t seed, int n) {
  std::vector<int> list(n);
  std::iota(list.begin(), list.end(), 0);
  PythonRandom random(seed);
  return shuffled(random, list);
}

// The orders were made by Python 3.
TEST(PythonRandom, ShufflesAsPythonDoes) {
  PythonRandom random(42);
  const std::vector<int> first = shuffled(random, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  EXPECT_EQ(first, (std::vector<int>{7, 3, 2, 8, 5, 6, 9, 4, 0, 1}));
  EXPECT_EQ(shuffled(random, first), (std::vector<int>{8, 6, 2, 5, 3, 0, 4, 7, 9, 1}));
}

TEST(PythonRandom, TakesSeedsOfAnySizeAndSign) {
  EXPECT_EQ(shuffled(0, 12), (std::vector<int>{1, 9, 8, 5, 10, 2, 3, 7, 4, 0, 11, 6}));
  EXPECT_EQ(shuffled(-7, 12), (std::vector<int>{7, 11, 3, 10, 8, 4, 9, 1, 0, 6, 2, 5}));
  EXPECT_EQ(shuffled((int64_t{1} << 40) + 5, 12), (std::vector<int>{3, 5, 2, 9, 6, 7, 1, 10, 0, 4, 11, 8}));
}

TEST(PythonRandom, DrawsNumbersAboveAWord) {
  PythonRandom random(3);
  for (uint64_t expected : {285805288266u, 1041975902461u, 1034389053353u, 421913238835u}) {
    EXPECT_EQ(random.below((uint64_t{1} << 40) + 12345), expected);
  }
}

TEST(PythonRandom, ListsOfOneAndNoneDrawNothing) {
  EXPECT_EQ(shuffled(1, 0), std::vector<int>{});
  EXPECT_EQ(shuffled(1, 1), std::vector<int>{0});
}

// The numbers were drawn by NumPy's randint after seed(1234).
TEST(NumpyRandom, DrawsAsNumpyDoes) {
  NumpyRandom random(1234);
  const std::vector<std::pair<int64_t, int64_t>> draws = {
      {1, 0}, {10, 3}, {1000, 294}, {int64_t{1} << 32, 3512589365}, {(int64_t{1} << 32) + 1, 2629000564}, {1000000000000, 656147994617},
      {7, 1}};
  for (const auto& [n, expected] : draws) EXPECT_EQ(random.below(n), expected) << n;
}

}  // namespace
}  // namespace rk
