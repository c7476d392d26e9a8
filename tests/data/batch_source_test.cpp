#include "data/batch_source.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "base/error.h"
#include "data/binidx_writer.h"
#include "data/sampling.h"
#include "support/temporary_folder.h"

namespace rk {
namespace {

using testing_support::TemporaryFolder;

// Tokens 0, 1, 2, ...: a token's value is its offset.
class BatchSourceTest : public testing::Test {
 protected:
  std::shared_ptr<const Binidx> counting(int64_t n) {
    const std::string prefix = folder_.path(cat("count", n));
    BinidxWriter writer({.prefix = prefix, .dtype = DType::i32});
    std::vector<int32_t> tokens(static_cast<size_t>(n));
    std::iota(tokens.begin(), tokens.end(), 0);
    writer.append(tokens);
    writer.end_sequence();
    writer.end_document();
    writer.finish();
    writer.commit();
    return std::make_shared<const Binidx>(prefix);
  }

  struct Sample {
    int64_t offset;
    std::vector<int32_t> tokens, targets;
    std::vector<float> weights;
  };
  static Sample draw(const BatchSource& source, int64_t number, int64_t ctx_len) {
    const size_t n = static_cast<size_t>(ctx_len);
    Sample s{0, std::vector<int32_t>(n, -7), std::vector<int32_t>(n, -7), std::vector<float>(n, -7)};
    s.offset = source.sample(number, {.tokens = s.tokens, .targets = s.targets, .weights = s.weights, .resets = {}});
    return s;
  }
  static void expect_window(const Sample& s, int64_t offset) {
    EXPECT_EQ(s.offset, offset);
    for (size_t i = 0; i < s.tokens.size(); ++i) {
      ASSERT_EQ(s.tokens[i], offset + static_cast<int64_t>(i));
      ASSERT_EQ(s.targets[i], s.tokens[i] + 1);
      ASSERT_EQ(s.weights[i], 1.0f);
    }
  }

  std::string refusal(int64_t n_tokens, int64_t ctx_len, int64_t prime, int64_t vocab = 0) {
    try {
      make_pile_source(counting(n_tokens), ctx_len, prime, vocab);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::bad_input);
      return e.what();
    }
    return "";
  }

  TemporaryFolder folder_;
};

TEST_F(BatchSourceTest, PileFollowsTheMagicPrime) {
  const auto source = make_pile_source(counting(5000), 16, 0, 0);
  const int64_t p = *find_magic_prime(5000, 16);
  EXPECT_EQ(source->n_samples_per_pass(), p);
  std::set<int64_t> offsets;
  for (int64_t ii = 1; ii <= p; ++ii) {
    const Sample s = draw(*source, ii, 16);
    expect_window(s, sample_offset(ii, p, 16));
    offsets.insert(s.offset);
  }
  EXPECT_EQ(static_cast<int64_t>(offsets.size()), p);
}

// Rank r of w takes samples r, r + w, ...: together they are the samples of one rank, in any split.
TEST_F(BatchSourceTest, AnySplitOverRanksIsTheSameOrder) {
  const auto data = counting(2000);
  const auto whole = make_pile_source(data, 8, 0, 0);
  for (int64_t world : {1, 2, 3, 8}) {
    for (int64_t rank = 0; rank < world; ++rank) {
      const auto source = make_pile_source(data, 8, 0, 0);
      for (int64_t idx = 0; idx < 10; ++idx)
        EXPECT_EQ(draw(*source, 1 + idx * world + rank, 8).tokens, draw(*whole, 1 + idx * world + rank, 8).tokens);
    }
  }
}

TEST_F(BatchSourceTest, TheLastSlotNeedsOneTokenMore) {
  // 18 slots: 17 is the computed prime; 18 * 64 + 1 tokens do not change it
  for (int64_t n : {18 * 64, 18 * 64 + 1}) {
    const auto source = make_pile_source(counting(n), 64, 17, 0);
    for (int64_t ii = 1; ii <= 17; ++ii) expect_window(draw(*source, ii, 64), sample_offset(ii, 17, 64));
  }
  // a given prime equal to the number of slots passes the reference's check, but its last slot may not be there
  EXPECT_EQ(refusal(17 * 64 + 1, 64, 17), "");
  const std::string reason = refusal(17 * 64, 64, 17);
  EXPECT_NE(reason.find("use --magic_prime 11"), reason.npos) << reason;
}

TEST_F(BatchSourceTest, DataWithoutAPrimeIsVisitedInOrder) {
  constexpr int64_t T = 64;
  for (const auto& [n_tokens, slots] : std::vector<std::pair<int64_t, int64_t>>{{T + 1, 1}, {2 * T, 1}, {2 * T + 1, 2}, {3 * T - 1, 2}}) {
    const auto source = make_pile_source(counting(n_tokens), T, 0, 0);
    EXPECT_EQ(source->n_samples_per_pass(), slots) << n_tokens;
    for (int64_t ii = 1; ii < 6; ++ii) expect_window(draw(*source, ii, T), (ii - 1) % slots * T);
  }
  const std::string reason = refusal(T, T, 0);
  EXPECT_NE(reason.find("64 tokens are too few for --ctx_len 64, which needs 65"), reason.npos) << reason;
}

TEST_F(BatchSourceTest, ContextsOfOneToken) {
  const auto source = make_pile_source(counting(10), 1, 0, 0);
  std::set<int64_t> offsets;
  for (int64_t ii = 1; ii <= source->n_samples_per_pass(); ++ii) offsets.insert(draw(*source, ii, 1).offset);
  EXPECT_EQ(offsets, (std::set<int64_t>{0, 1, 2, 3, 4}));
}

TEST_F(BatchSourceTest, TokensOutsideTheVocabularyAreRefused) {
  const auto source = make_pile_source(counting(1000), 16, 0, 900);
  int refused = 0;
  for (int64_t ii = 1; ii <= source->n_samples_per_pass(); ++ii) {
    try {
      draw(*source, ii, 16);
    } catch (const Error& e) {
      ++refused;
      EXPECT_NE(std::string(e.what()).find(".bin: byte "), std::string::npos) << e.what();
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_LT(refused, source->n_samples_per_pass());
}

TEST_F(BatchSourceTest, ValidationCountsEveryTargetOnce) {
  for (int64_t n : {2, 3, 16, 17, 18, 33, 100}) {
    const auto source = make_sequential_source(counting(n), 16, 0);
    int64_t expected = 1;
    for (int64_t number = 0; number < source->n_samples_per_pass(); ++number) {
      const Sample s = draw(*source, number, 16);
      EXPECT_EQ(s.offset, number * 16);
      for (size_t i = 0; i < 16; ++i) {
        if (s.targets[i] == -100) {
          EXPECT_EQ(s.weights[i], 0.0f);
          EXPECT_EQ(s.tokens[i], 0);
          continue;
        }
        EXPECT_EQ(s.weights[i], 1.0f);
        EXPECT_EQ(s.tokens[i], expected - 1);
        EXPECT_EQ(s.targets[i], expected++);
      }
    }
    EXPECT_EQ(expected, n);
  }
  EXPECT_THROW(make_sequential_source(counting(1), 16, 0), Error);
}

}  // namespace
}  // namespace rk
