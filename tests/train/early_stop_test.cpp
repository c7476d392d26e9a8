// Validation that ends a run.
#include "train/early_stop.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <limits>

#include "support/tiny_run.h"

namespace rk {
namespace {

TEST(EarlyStop, CountsValidationsWithoutASmallerLoss) {
  CheckpointState state;
  EXPECT_EQ(note_validation_loss(state, 3), 0);
  EXPECT_EQ(note_validation_loss(state, 3), 1);
  EXPECT_EQ(note_validation_loss(state, std::numeric_limits<double>::quiet_NaN()), 2);
  EXPECT_EQ(note_validation_loss(state, 2.5), 0);
  EXPECT_EQ(note_validation_loss(state, 2.75), 1);
  EXPECT_EQ(state.extra["val_smallest"], "2.5");
}

class EarlyStopRun : public testing::Test {
 protected:
  void SetUp() override { write_tiny_data(folder_.path("tiny"), 3000, 50); }
  RunConfig standing_still(const std::string& name, int world = 1) {
    RunConfig c = tiny_config(folder_.root(), name, world);
    c.val_file = c.data_file;
    c.val_every = 2;
    c.early_stop = 3;
    c.lr_init = c.lr_final = 0;
    c.weight_decay = 0;
    return c;
  }
  testing_support::TemporaryFolder folder_;
};

TEST_F(EarlyStopRun, EndsWhereNothingGetsBetter) {
  for (int world : {1, 2}) {
    const RunConfig c = standing_still("run" + std::to_string(world), world);
    ExitCode code = ExitCode::failure;
    const TinyHistory run = tiny_train(c, world, 0, &code)[0];
    EXPECT_EQ(code, ExitCode::done);
    EXPECT_EQ(run.steps.size(), 8u) << "the first validation is after step 2, three in vain follow";
    EXPECT_TRUE(std::filesystem::exists(c.proj_dir + "/rwkv-final.pth"));
  }
}

TEST_F(EarlyStopRun, IsRememberedByCheckpoints) {
  RunConfig c = standing_still("run");
  EXPECT_EQ(tiny_train(c, 1, 6)[0].steps.back(), 6);
  c.resume = "auto";
  EXPECT_EQ(tiny_train(c, 1)[0].steps, (std::vector<int64_t>{7, 8}));
}

TEST_F(EarlyStopRun, GoesOnWhileLossesFall) {
  RunConfig c = standing_still("run");
  c.lr_init = c.lr_final = 2e-3;
  EXPECT_EQ(tiny_train(c, 1)[0].steps.size(), 20u);
}

}  // namespace
}  // namespace rk
