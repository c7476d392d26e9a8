#include "data/samples/order.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>

namespace rk {
namespace {

TEST(Order, ShuffledPassesAreWhole) {
  for (const int64_t n : {1, 2, 3, 5, 16, 17, 100, 1000, 4097}) {
    SampleOrder order{.kind = SampleOrder::Kind::shuffle, .n = n, .seed = 7};
    std::vector<std::vector<int64_t>> passes(3);
    for (int64_t number = 1; number <= 3 * n; ++number) passes[static_cast<size_t>((number - 1) / n)].push_back(order.index(number));
    for (auto& pass : passes) {
      std::set<int64_t> seen(pass.begin(), pass.end());
      EXPECT_EQ(std::ssize(seen), n);
      EXPECT_EQ(*seen.begin(), 0);
      EXPECT_EQ(*seen.rbegin(), n - 1);
    }
    if (n > 10) {
      EXPECT_NE(passes[0], passes[1]);
      order.seed = 8;
      EXPECT_NE(order.index(1) * n + order.index(2), passes[0][0] * n + passes[0][1]);
    }
  }
}

// Every place of a small set is as likely at every moment of a pass: the chi-square of 8 x 8 counts over many passes.
TEST(Order, ShuffleIsEven) {
  constexpr int64_t n = 8, passes = 20000;
  std::vector<int64_t> counts(n * n);
  for (int64_t pass = 0; pass < passes; ++pass)
    for (int64_t i = 0; i < n; ++i) ++counts[static_cast<size_t>(i * n + permuted(i, n, 42, static_cast<uint64_t>(pass)))];
  double chi = 0;
  const double expected = static_cast<double>(passes) / n;
  for (int64_t c : counts) chi += (static_cast<double>(c) - expected) * (static_cast<double>(c) - expected) / expected;
  EXPECT_LT(chi, 85);  // 49 degrees of freedom: 99.9 % lie below 85.4
}

TEST(Order, HugePassesNeedNoTable) {
  constexpr int64_t n = (int64_t{1} << 45) + 12345;
  std::set<int64_t> seen;
  for (int64_t i = 0; i < 10000; ++i) {
    const int64_t place = permuted(i, n, 1, 3);
    ASSERT_GE(place, 0);
    ASSERT_LT(place, n);
    seen.insert(place);
  }
  EXPECT_EQ(seen.size(), 10000u);
}

TEST(Order, RandomStepsComeFirst) {
  const SampleOrder order{.kind = SampleOrder::Kind::prime, .n = 11, .stride = 4, .shift = 2, .n_random = 100, .random_steps = 5};
  const SampleOrder plain{.kind = SampleOrder::Kind::prime, .n = 11, .stride = 4, .shift = 2};
  for (int64_t number = 1; number < 5; ++number) EXPECT_EQ(order.index(number), drawn(100, 42, static_cast<uint64_t>(number)));
  for (int64_t number = 6; number < 40; ++number) EXPECT_EQ(order.index(number), plain.index(number - 5));
}

TEST(Order, MixesKeepTheirShares) {
  for (const std::vector<double>& weights : {std::vector<double>{1}, {7, 3}, {0.001, 0.999}, {1, 1, 1}, {5, 0.5, 3, 1.5}}) {
    const SourceMix mix(weights);
    std::vector<int64_t> counts(weights.size());
    for (int64_t number = 1; number <= 100000; ++number) {
      const SourceMix::Place place = mix.place(number);
      EXPECT_EQ(place.number, ++counts[static_cast<size_t>(place.source)]) << "samples of a source are counted one by one";
      EXPECT_EQ(mix.count(place.source, number), place.number);
      for (size_t s = 0; number % 997 == 0 && s < weights.size(); ++s) {
        EXPECT_EQ(mix.count(static_cast<int64_t>(s), number), counts[s]);
        EXPECT_LT(std::abs(static_cast<double>(counts[s]) - mix.share(static_cast<int64_t>(s)) * static_cast<double>(number)),
                  static_cast<double>(weights.size()));
      }
    }
    for (size_t s = 0; s < weights.size(); ++s)
      EXPECT_NEAR(static_cast<double>(counts[s]) / 1e5, mix.share(static_cast<int64_t>(s)),
                  0.001 * mix.share(static_cast<int64_t>(s)) + 1e-5);
  }
}

}  // namespace
}  // namespace rk
