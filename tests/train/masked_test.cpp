// Fine-tuning data: losses of masked and packed samples.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "data/open_data.h"
#include "support/tiny_run.h"
#include "train/config.h"
#include "train/open_run.h"

namespace rk {
namespace {

class MaskedRun : public testing::Test {
 protected:
  // Conversations of one to three turns, some of whose answers are much longer than others.
  void SetUp() override {
    std::ofstream out(folder_.path("chat.jsonl"));
    for (int i = 0; i < n_conversations; ++i) {
      out << R"({"conversations": [)";
      for (int turn = 0; turn <= i % 3; ++turn)
        out << (turn > 0 ? ", " : "") << R"({"from": "human", "value": "q)" << i << R"("}, {"from": "gpt", "value": ")"
            << std::string(static_cast<size_t>(1 + 5 * (i * 7 % 4)), static_cast<char>('a' + i % 26)) << R"("})";
      out << "]}\n";
    }
  }

  RunConfig chat(const std::string& name) {
    RunConfig c = tiny_config(folder_.root(), name);
    c.data_file = folder_.path("chat.jsonl");
    c.data_type = "sharegpt";
    c.tokenizer = "bytes";
    c.loss_mask = "roles";
    c.vocab_size = 0;
    c.ctx_len = 160;
    c.max_steps = 4;
    c.l2wrap = 0;
    return c;
  }

  // All samples of one pass in one step.
  double loss_of_a_pass(RunConfig c, int world = 1) {
    prepare_data(c, {.folder = token_folder(c), .threads = 1, .say = [](const std::string&) {}});
    c.global_bsz = open_data(c, token_folder(c))->train_source(257)->n_samples_per_pass();
    c.micro_bsz = 3;
    c.accumulate = (c.global_bsz + 3 * world - 1) / (3 * world);
    c.max_steps = 1;
    return tiny_train(c, world)[0].loss.at(0);
  }

  static constexpr int n_conversations = 23;
  testing_support::TemporaryFolder folder_;
};

TEST_F(MaskedRun, LossesDoNotDependOnRanks) {
  for (const std::string dataload : {"pad", "pack"}) {
    std::vector<std::vector<double>> losses;
    for (int world : {1, 2, 3}) {
      RunConfig c = chat(dataload + std::to_string(world));
      c.dataload = dataload;
      c.global_bsz = 7;
      c.micro_bsz = 2;
      c.accumulate = (4 + world - 1) / world;
      losses.push_back(tiny_train(c, world)[0].loss);
      ASSERT_EQ(losses.back().size(), 4u);
      for (size_t i = 0; i < 4; ++i) {
        EXPECT_TRUE(losses.back()[i] > 0.5) << "something counts";
        EXPECT_NEAR(losses.back()[i], losses[0][i], 1e-6 * losses[0][i]) << dataload << ", " << world << " ranks, step " << i + 1;
      }
    }
  }
}

TEST_F(MaskedRun, PackedConversationsAreSeparateOnes) {
  for (const int64_t chunk_ctx : {int64_t{0}, int64_t{50}})
    for (int world : {1, 2}) {
      const std::string name = std::to_string(chunk_ctx) + "-" + std::to_string(world);
      RunConfig packed = chat("packed" + name), separate = chat("separate" + name);
      packed.dataload = "pack";
      separate.dataload = "pad";
      packed.precision = separate.precision = "fp64";
      packed.chunk_ctx = chunk_ctx;
      const double expected = loss_of_a_pass(separate);
      EXPECT_NEAR(loss_of_a_pass(packed, world), expected, 1e-11) << name;
    }
}

TEST_F(MaskedRun, ValidationSplitOverlapsNowhere) {
  RunConfig c = chat("split");
  c.val_split = 0.3;
  c.dataload = "pack";
  const auto run = tiny_train(c, 2)[0];
  ASSERT_EQ(run.validation_loss.size(), 1u);
  EXPECT_TRUE(std::isfinite(run.validation_loss[0]));
  const auto data = open_data(c, token_folder(c));
  EXPECT_LT(data->n_documents(), n_conversations);
  EXPECT_GT(data->n_documents(), 0);
}

}  // namespace
}  // namespace rk
