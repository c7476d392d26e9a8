// Rows of samples laid out by segment.
#include "train/batcher.h"

#include <gtest/gtest.h>

namespace rk {
namespace {

// Token t of sample n is 100 n + t; a document begins wherever t + n is a multiple of five, if anyone wants to know.
class Documents : public BatchSource {
 public:
  int64_t sample(int64_t number, const SampleRow& row) const override {
    for (size_t t = 0; t < row.tokens.size(); ++t) {
      row.tokens[t] = static_cast<int32_t>(100 * number) + static_cast<int32_t>(t);
      row.targets[t] = row.tokens[t] + 1;
      row.weights[t] = 1;
      if (!row.resets.empty()) row.resets[t] = begins(number, static_cast<int64_t>(t));
    }
    return number;
  }
  static bool begins(int64_t number, int64_t t) { return (t + number) % 5 == 0; }
  int64_t n_samples_per_pass() const override { return 10; }
};

// One that knows of no documents.
class Plain : public Documents {
 public:
  int64_t sample(int64_t number, const SampleRow& row) const override {
    return Documents::sample(number, {.tokens = row.tokens, .targets = row.targets, .weights = row.weights, .resets = {}});
  }
};

TEST(Batcher, ResetsLieBesideTheirTokens) {
  const BatchShape shape{.micro = 2, .B = 3, .T = 11, .segment = 4, .resets = true};
  Batcher batcher(shape);
  const auto number = [](int64_t m, int64_t j) { return m == 1 && j == 2 ? -1 : 1 + m * 3 + j; };
  batcher.fill({}, Documents{}, number);
  ASSERT_EQ(batcher.micro().size(), 2u);
  for (int64_t m = 0; m < 2; ++m) {
    const std::vector<Segment>& segments = batcher.micro()[static_cast<size_t>(m)];
    ASSERT_EQ(segments.size(), 3u);
    int64_t first = 0;
    for (const Segment& s : segments) {
      ASSERT_EQ(s.resets.shape, s.tokens.shape);
      ASSERT_EQ(s.resets.dtype, DType::u8);
      for (int64_t j = 0; j < s.B; ++j)
        for (int64_t t = 0; t < s.T; ++t) {
          const int64_t n = number(m, j), i = j * s.T + t;
          EXPECT_EQ(s.tokens.as<int32_t>()[i], n < 0 ? 0 : 100 * n + first + t);
          EXPECT_EQ(static_cast<const uint8_t*>(s.resets.data)[i], n >= 0 && Documents::begins(n, first + t)) << m << j << first + t;
        }
      first += s.T;
    }
  }
  batcher.fill({}, Plain{}, number);
  for (const Segment& s : batcher.micro()[0])
    for (int64_t i = 0; i < s.resets.numel(); ++i) EXPECT_EQ(static_cast<const uint8_t*>(s.resets.data)[i], 0);
}

TEST(Batcher, ResetsAreThereOnlyWhenWanted) {
  BatchShape shape{.micro = 2, .B = 3, .T = 11, .segment = 4};
  Batcher batcher(shape);
  batcher.fill({}, Documents{}, [](int64_t, int64_t j) { return j; });
  for (const Segment& s : batcher.micro()[0]) {
    EXPECT_FALSE(s.resets);
    EXPECT_EQ(s.resets.shape.rank, 0);
  }
  const size_t without = Batcher::n_bytes(shape);
  shape.resets = true;
  EXPECT_EQ(Batcher::n_bytes(shape), without + 2 * 3 * 11);
}

}  // namespace
}  // namespace rk
