// The same samples a step on any number of ranks: ragged shares, ranks without a micro-batch, ranks that come and go.
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "support/tiny_run.h"
#include "train/global_batch.h"

namespace rk {
namespace {

TEST(StepBatch, EverySampleHasOneRowWhateverTheRanks) {
  for (int64_t samples : {1, 2, 7, 12, 23, 24})
    for (int64_t B : {1, 2, 5, 12})
      for (int64_t world : {1, 2, 3, 4, 7}) {
        const StepBatch b{.samples = samples, .B = B, .world = world};
        const StepBatch alone{.samples = samples, .B = B, .world = 1};
        std::set<int64_t> seen;
        for (int64_t r = 0; r < world; ++r) {
          EXPECT_LE(b.of_rank(r), b.per_rank());
          for (int64_t m = 0; m < b.per_rank(); ++m) {
            int64_t n = 0;
            for (int64_t j = 0; j < B; ++j) {
              const int64_t sample = b.sample(r, m, j);
              EXPECT_EQ(sample, alone.sample(0, b.number(r, m), j)) << "what is in a micro-batch does not depend on ranks";
              if (sample < 0) continue;
              EXPECT_TRUE(seen.insert(sample).second);
              ++n;
            }
            EXPECT_EQ(n > 0, m < b.of_rank(r));
          }
        }
        EXPECT_EQ(static_cast<int64_t>(seen.size()), samples);
        EXPECT_EQ(*seen.rbegin(), samples - 1);
      }
}

TEST(StepBatch, RanksTakeTurnsAsInTheReference) {
  const StepBatch b{.samples = 12, .B = 3, .world = 4};
  for (int64_t r = 0; r < 4; ++r)
    for (int64_t j = 0; j < 3; ++j) EXPECT_EQ(b.sample(r, 0, j), j * 4 + r);
}

TEST(StepBatch, IsToldInOneLine) {
  EXPECT_EQ(batch_text({.samples = 12, .B = 4, .world = 4}), "12 samples a step: 3 micro-batches of 4 over 4 ranks, one rank has none");
  EXPECT_EQ(batch_text({.samples = 7, .B = 2, .world = 3}),
            "7 samples a step: 4 micro-batches of 2 over 3 ranks, 1 row is empty, 2 ranks have 1 instead of 2");
  EXPECT_EQ(batch_text({.samples = 24, .B = 6, .world = 2}), "24 samples a step: 4 micro-batches of 6 over 2 ranks");
}

class Elastic : public testing::Test {
 protected:
  void SetUp() override { write_tiny_data(folder_.path("tiny"), 6000, 50); }
  RunConfig config(const std::string& run) { return tiny_config(folder_.root(), run); }
  static void expect_near(const TinyHistory& a, const TinyHistory& b, double limit, const std::string& what) {
    ASSERT_EQ(a.loss.size(), b.loss.size()) << what;
    for (size_t i = 0; i < a.loss.size(); ++i) {
      EXPECT_NEAR(a.loss[i] / b.loss[i], 1, limit) << what << ", step " << i + 1;
      EXPECT_NEAR(a.grad_norm[i] / b.grad_norm[i], 1, limit) << what << ", step " << i + 1;
    }
  }
  testing_support::TemporaryFolder folder_;
};

TEST_F(Elastic, AnyBatchOnAnyRanks) {
  for (int64_t samples : {7, 2}) {
    RunConfig whole = config(cat("whole", samples));
    whole.precision = "fp64";
    whole.global_bsz = whole.micro_bsz = samples;
    whole.max_steps = 6;
    const TinyHistory expected = tiny_train(whole, 1)[0];
    for (int world : {1, 2, 3, 4})
      for (int zero : {0, 1, 2, 3})
        for (int64_t B : {2, 3})
          for (const std::string order : {"layer", "segment"}) {
            RunConfig c = whole;
            c.proj_dir = folder_.root() + "/" + cat(samples, "-", world, zero, B, order);
            c.zero = zero;
            c.micro_bsz = B;
            c.accumulate = step_batch(c, world).per_rank();
            c.plan_order = order;
            c.chunk_ctx = order == "segment" ? 7 : 0;
            c.grad_cp = order == "segment";
            expect_near(tiny_train(c, world)[0], expected, 1e-11, cat(samples, " samples, ", world, " ranks, ZeRO-", zero, ", ", B));
          }
  }
}

TEST_F(Elastic, ACheckpointKeepsItsBatch) {
  RunConfig c = config("whole");
  c.precision = "fp64";
  c.zero = 2;
  c.micro_bsz = 6;
  const TinyHistory expected = tiny_train(c, 4)[0];
  c.proj_dir += "-moved";
  tiny_train(c, 4, 6);
  c.resume = "auto";
  c.zero = 3;
  const TinyHistory two = tiny_train(c, 2, 13)[0];
  EXPECT_TRUE(std::any_of(two.lines.begin(), two.lines.end(), [](const std::string& line) {
    return line == "as before, 24 samples a step: 4 micro-batches of 6 over 2 ranks";
  }));
  c.zero = 1;
  const TinyHistory three = tiny_train(c, 3)[0];
  EXPECT_EQ(three.steps.front(), 14);
  EXPECT_EQ(three.steps.back(), 20);
  for (const auto* part : {&two, &three})
    for (size_t i = 0; i < part->loss.size(); ++i)
      EXPECT_NEAR(part->loss[i] / expected.loss[static_cast<size_t>(part->steps[i]) - 1], 1, 1e-11);
}

}  // namespace
}  // namespace rk
