// --deterministic_reduce: losses, norms and weights have the same bits on any number of ranks.
#include <gtest/gtest.h>

#include "support/tiny_run.h"
#include "train/config.h"
#include "train/global_batch.h"

namespace rk {
namespace {

class Deterministic : public testing::Test {
 protected:
  void SetUp() override {
    write_tiny_data(folder_.path("tiny"), 6000, 50);
    write_tiny_data(folder_.path("val"), 500, 50);
  }
  // `samples` a step in micro-batches of B.
  RunConfig config(const std::string& run, int world, int64_t samples, int64_t B) {
    RunConfig c = tiny_config(folder_.root(), run);
    c.deterministic_reduce = true;
    c.global_bsz = samples;
    c.micro_bsz = B;
    c.accumulate = step_batch(c, world).per_rank();
    c.val_file = folder_.path("val");
    c.val_every = 10;
    return c;
  }
  testing_support::TemporaryFolder folder_;
};

TEST_F(Deterministic, RanksAndStagesChangeNoBit) {
  for (const std::string precision : {"fp32", "bf16"})
    for (const std::string sent : {"fp32", "bf16"})
      for (int64_t segment : {0, 7}) {
        const auto with = [&](RunConfig c) {
          c.precision = precision;
          c.reduce_dtype = sent;
          c.chunk_ctx = segment;
          c.l2wrap = 1e-2;
          return c;
        };
        const RunConfig alone = with(config(cat(precision, sent, segment, "-alone"), 1, 11, 2));
        const TinyHistory expected = tiny_train(alone, 1)[0];
        const auto weights = weights_of(alone.proj_dir + "/rwkv-final.pth");
        ASSERT_EQ(expected.loss.size(), 20u);
        EXPECT_LT(expected.loss.back(), expected.loss.front());
        for (int world : {2, 3, 4})
          for (int zero : {0, 2, 3}) {
            RunConfig c = with(config(cat(precision, sent, segment, "-", world, "-", zero), world, 11, 2));
            c.zero = zero;
            const TinyHistory h = tiny_train(c, world)[0];
            EXPECT_EQ(h.loss, expected.loss) << c.proj_dir;
            EXPECT_EQ(h.grad_norm, expected.grad_norm) << c.proj_dir;
            EXPECT_EQ(h.validation_loss, expected.validation_loss) << c.proj_dir;
            EXPECT_EQ(weights_of(c.proj_dir + "/rwkv-final.pth"), weights) << c.proj_dir;
          }
      }
}

TEST_F(Deterministic, WithoutItBitsDiffer) {
  RunConfig a = config("a", 1, 11, 2), b = config("b", 3, 11, 2);
  a.deterministic_reduce = b.deterministic_reduce = false;
  EXPECT_NE(tiny_train(a, 1)[0].loss, tiny_train(b, 3)[0].loss) << "the test above would not see a difference";
}

TEST_F(Deterministic, ResumedOnOtherRanks) {
  const TinyHistory expected = tiny_train(config("whole", 4, 24, 3), 4)[0];
  RunConfig c = config("moved", 4, 24, 3);
  tiny_train(c, 4, 9);
  c.resume = "auto";
  c.zero = 3;
  c.accumulate = step_batch(c, 2).per_rank();
  const TinyHistory h = tiny_train(c, 2)[0];
  ASSERT_EQ(h.steps.front(), 10);
  for (size_t i = 0; i < h.loss.size(); ++i) {
    EXPECT_EQ(h.loss[i], expected.loss[9 + i]);
    EXPECT_EQ(h.grad_norm[i], expected.grad_norm[9 + i]);
  }
  EXPECT_EQ(weights_of(c.proj_dir + "/rwkv-final.pth"), weights_of(folder_.root() + "/whole/rwkv-final.pth"));
}

TEST(DeterministicConfig, RefusesWhatHasAnotherOrder) {
  const auto refusal = [](const std::vector<std::string>& more) -> std::string {
    std::vector<std::string> words{"--deterministic_reduce", "1", "--accelerator", "gpu", "--precision", "bf16"};
    words.insert(words.end(), more.begin(), more.end());
    try {
      RunConfig c = parse_config(words);
      validate(c, 4, {.plan = true});
    } catch (const Error& e) {
      return e.what();
    }
    return "accepted";
  };
  EXPECT_EQ(refusal({}), "accepted");
  EXPECT_EQ(refusal({"--chunk_ctx", "256"}), "accepted");
  EXPECT_NE(refusal({"--offload", "optimizer"}).find("--offload"), std::string::npos);
  EXPECT_NE(refusal({"--zero_group", "node"}).find("--zero_group node"), std::string::npos);
  EXPECT_NE(refusal({"--chunk_ctx", "256", "--plan_order", "segment"}).find("--plan_order"), std::string::npos);
}

}  // namespace
}  // namespace rk
