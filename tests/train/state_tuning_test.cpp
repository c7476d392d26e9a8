// Training the states that time mixes begin with, over frozen weights.
#include <gtest/gtest.h>

#include <filesystem>

#include "support/tiny_run.h"
#include "train/checkpoint.h"

namespace rk {
namespace {

class StateTuning : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    write_tiny_data(folder_.path("tiny"), 4000, 50);
    RunConfig c = tiny_config(folder_.root(), "base");
    c.arch = GetParam();
    c.max_steps = 8;
    tiny_train(c, 1);
  }
  RunConfig config(const std::string& run, int world = 1) {
    RunConfig c = tiny_config(folder_.root(), run, world);
    c.load_model = folder_.path("base/rwkv-final.pth");
    c.state_tune = true;
    c.lr_init = 0.1;
    c.lr_final = 0.01;
    c.max_steps = 6;
    c.epoch_steps = 2;
    c.epoch_save = 1;
    return c;
  }
  testing_support::TemporaryFolder folder_;
};

TEST_P(StateTuning, TrainsAndWritesTheStatesAlone) {
  const auto plain = tiny_train(config("plain"), 1)[0];
  EXPECT_LT(plain.loss.back(), plain.loss.front());
  for (const char* file : {"plain/rwkv-final.pth", "plain/rwkv-0.pth"}) {
    const auto states = weights_of(folder_.path(file));
    EXPECT_EQ(states.size(), 2u) << file << ": a model of two blocks";
    for (const auto& [name, values] : states) {
      EXPECT_TRUE(name.ends_with("att.time_state")) << name;
      double sum = 0;
      for (double x : values) sum += x * x;
      EXPECT_GT(sum, 0) << name << " moved";
    }
  }
  EXPECT_FALSE(std::filesystem::exists(folder_.path("plain/rwkv-init.pth")));
  // The checkpoint holds the frozen weights as they were, and no moments of them.
  CheckpointReader reader(folder_.path("plain/step-00000006"));
  const auto base = weights_of(folder_.path("base/rwkv-final.pth"));
  for (const auto& [name, values] : base) {
    EXPECT_FALSE(reader.has(name, "m")) << name;
    std::vector<double> held(values.size());
    reader.read(name, weights_part(reader, name), 0, std::ssize(held), DType::f64, held.data());
    EXPECT_EQ(held, values) << name;
  }
  EXPECT_TRUE(reader.has("blocks.1.att.time_state", "m"));
}

TEST_P(StateTuning, StagesAndRanksAgreeAndResumeIsExact) {
  const auto plain = tiny_train(config("plain"), 1)[0];
  for (int zero = 0; zero <= 3; ++zero) {
    RunConfig c = config(cat("zero", zero), 2);
    c.zero = zero;
    const auto losses = tiny_train(c, 2)[0].loss;
    for (size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(losses[i], plain.loss[i], 1e-5) << "ZeRO-" << zero << " step " << i;
  }
  RunConfig c = config("resumed");
  auto losses = tiny_train(c, 1, 3)[0].loss;
  c.resume = "auto";
  const auto rest = tiny_train(c, 1)[0].loss;
  losses.insert(losses.end(), rest.begin(), rest.end());
  EXPECT_EQ(losses, plain.loss);
}

// Frozen weights are saved in the model's own type.
TEST_P(StateTuning, ResumeInBf16IsExact) {
  RunConfig c = config("whole", 2);
  c.precision = "bf16";
  c.zero = 3;
  c.snapshot_every = {.every = 2};
  c.snapshot_dir = folder_.path("snapshots");
  const auto whole = tiny_train(c, 2)[0];
  c.proj_dir = folder_.path("cut");
  auto losses = tiny_train(c, 2, 3)[0].loss;
  c.resume = "auto";
  const auto rest = tiny_train(c, 2)[0].loss;
  losses.insert(losses.end(), rest.begin(), rest.end());
  EXPECT_EQ(losses, whole.loss);
  EXPECT_EQ(weights_of(folder_.path("cut/rwkv-final.pth")), weights_of(folder_.path("whole/rwkv-final.pth")));
}

TEST_P(StateTuning, DeterministicSumsHaveTheSameBitsOnAnyRanks) {
  std::vector<double> reference;
  for (int world : {1, 2, 3}) {
    RunConfig c = config(cat("ranks", world), world);
    c.deterministic_reduce = true;
    c.threads = 1;
    c.micro_bsz = 4;
    c.global_bsz = 24;
    c.accumulate = 24 / (4 * world);
    const auto losses = tiny_train(c, world)[0].loss;
    if (reference.empty()) reference = losses;
    EXPECT_EQ(losses, reference) << world << " ranks";
  }
}

TEST_P(StateTuning, GoesOnFromAFileOfStates) {
  const auto plain = tiny_train(config("plain"), 1)[0];
  RunConfig c = config("overlay");
  std::filesystem::create_directories(c.proj_dir);
  std::filesystem::copy_file(folder_.path("plain/rwkv-final.pth"), c.proj_dir + "/rwkv-init-state.pth");
  const auto overlaid = tiny_train(c, 1)[0];
  EXPECT_LT(overlaid.loss.front(), plain.loss.front()) << "it begins with what was trained";
  RunConfig restart = config("restart");
  std::filesystem::create_directories(restart.proj_dir);
  std::filesystem::copy_file(folder_.path("plain/rwkv-2.pth"), restart.proj_dir + "/rwkv-2.pth");
  restart.resume = "auto";
  restart.max_steps = 9;
  EXPECT_NEAR(tiny_train(restart, 1)[0].loss.front(), overlaid.loss.front(), 0.5);
  restart.proj_dir = folder_.path("again");
  std::filesystem::create_directories(restart.proj_dir);
  std::filesystem::copy_file(folder_.path("plain/rwkv-2.pth"), restart.proj_dir + "/rwkv-2.pth");
  restart.load_model = "";
  EXPECT_THROW(tiny_train(restart, 1), Error);
}
INSTANTIATE_TEST_SUITE_P(Families, StateTuning, testing::Values("x060", "x070"));

TEST(StateTuning, NeedsAModelThatHasStates) {
  testing_support::TemporaryFolder folder;
  write_tiny_data(folder.path("tiny"), 4000, 50);
  RunConfig c = tiny_config(folder.root(), "fresh");
  c.arch = "x060";
  c.state_tune = true;
  EXPECT_THROW(tiny_train(c, 1), Error) << "nothing to tune";
}

}  // namespace
}  // namespace rk
