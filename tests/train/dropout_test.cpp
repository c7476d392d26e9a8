// Dropout in training: what is dropped belongs to a sample and its token, however the step is cut.
#include <gtest/gtest.h>

#include "support/tiny_run.h"
#include "train/batcher.h"

namespace rk {
namespace {

class DropoutRuns : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override { write_tiny_data(folder_.path("tiny"), 4000, 50); }
  RunConfig config(const std::string& run, int world = 1, int64_t accumulate = 1) {
    RunConfig c = tiny_config(folder_.root(), run, world, accumulate);
    c.arch = GetParam();
    if (c.arch == "x040") c.head_size = 0;
    c.n_embd = 32;
    c.dropout = 0.3;
    c.max_steps = 4;
    c.precision = "fp64";
    c.epoch_save = 0;
    return c;
  }
  testing_support::TemporaryFolder folder_;
};

void expect_near(const std::vector<double>& a, const std::vector<double>& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-10 * std::abs(b[i])) << what << " step " << i;
}

TEST_P(DropoutRuns, LossesDoNotDependOnHowAStepIsCut) {
  const auto plain = tiny_train(config("plain"), 1)[0];
  RunConfig none = config("none");
  none.dropout = 0;
  EXPECT_GT(std::abs(tiny_train(none, 1)[0].loss[0] - plain.loss[0]), 1e-6) << "training drops";
  RunConfig seeded = config("seeded");
  seeded.random_seed = 43;
  expect_near(tiny_train(config("ranks", 3), 3)[0].loss, plain.loss, "3 ranks");
  const auto cut = tiny_train(config("cut", 2, 3), 2)[0];
  expect_near(cut.loss, plain.loss, "2 ranks, 3 micro-batches");
  expect_near(cut.grad_norm, plain.grad_norm, "2 ranks, 3 micro-batches");
  RunConfig segments = config("segments");
  segments.chunk_ctx = 5;
  segments.grad_cp = true;
  const auto segmented = tiny_train(segments, 1)[0];
  expect_near(segmented.loss, plain.loss, "segments");
  expect_near(segmented.grad_norm, plain.grad_norm, "segments");
}

TEST_P(DropoutRuns, ResumesBitExactlyAndValidatesWithout) {
  RunConfig c = config("whole");
  c.val_split = 0.2;
  c.val_every = 4;
  const auto whole = tiny_train(c, 1)[0];
  c.proj_dir = folder_.path("resumed");
  const auto first = tiny_train(c, 1, 2)[0];
  c.resume = "auto";
  const auto second = tiny_train(c, 1)[0];
  std::vector<double> losses = first.loss;
  losses.insert(losses.end(), second.loss.begin(), second.loss.end());
  EXPECT_EQ(losses, whole.loss);
  EXPECT_EQ(second.validation_loss, whole.validation_loss);
  // A validation of the same weights without dropout sees the same.
  ASSERT_EQ(whole.validation_loss.size(), 1u);
}
INSTANTIATE_TEST_SUITE_P(Dropout, DropoutRuns, testing::Values("x040", "x060", "x070"));

TEST(Batcher, NumbersOfDroppedRowsAreThoseOfSamples) {
  Batcher batcher({.micro = 2, .B = 2, .T = 7, .segment = 4});
  batcher.drop({.p = 0.5, .seed = 9, .first = 1, .step = 3, .n_micro = 6});
  const auto& micro = batcher.micro();
  // Row j of micro-batch g is sample 6 j + g; g is 1, then 4.
  for (size_t m = 0; m < 2; ++m)
    for (size_t s = 0; s < 2; ++s)
      for (int64_t row = 0; row < 2; ++row) {
        const DropoutRule& r = micro[m][s].dropout;
        const int64_t g = m == 0 ? 1 : 4, sample = 6 * row + g, token = s == 0 ? 0 : 4;
        EXPECT_EQ((r.first_row + row) * r.row_tokens + r.first_token, sample * 7 + token);
      }
}

}  // namespace
}  // namespace rk
