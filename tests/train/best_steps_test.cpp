// The checkpoints with the lowest validation losses.
#include "train/best_steps.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "support/temporary_folder.h"
#include "support/tiny_run.h"
#include "train/checkpoint_folders.h"

namespace rk {
namespace {

TEST(BestSteps, the_best_are_kept_in_their_order) {
  BestSteps best(2);
  EXPECT_TRUE(best.add(1, 3.0));
  EXPECT_TRUE(best.add(2, 2.0));
  EXPECT_FALSE(best.add(3, 3.5));
  EXPECT_FALSE(best.add(4, std::nan("")));
  EXPECT_TRUE(best.add(5, 2.5));
  EXPECT_EQ(best.steps(), (std::set<int64_t>{2, 5}));
  EXPECT_EQ(best.best(), 2);
  BestSteps again(2);
  again.set(best.text());
  EXPECT_EQ(again.text(), best.text());
  again.drop(2);
  EXPECT_EQ(again.best(), 5);
  EXPECT_FALSE(BestSteps(0).add(1, 1.0));
}

TEST(BestSteps, a_run_keeps_the_folder_of_its_best_validation) {
  testing_support::TemporaryFolder folder;
  write_tiny_data(folder.path("tiny"), 3000, 50);
  write_tiny_data(folder.path("held-out"), 100, 50);
  RunConfig c = tiny_config(folder.root(), "run");
  c.epoch_save = 0;
  c.keep_last = 1;
  c.val_file = folder.path("held-out");
  c.val_every = 4;
  c.max_steps = 12;
  const auto first = tiny_train(c, 1)[0];
  ASSERT_EQ(first.validation_loss.size(), 3u);
  c.resume = "auto";
  c.max_steps = 20;
  c.lr_init = c.lr_final = 0.5;  // from here on it gets worse
  tiny_train(c, 1);
  std::ifstream in(c.proj_dir + "/best");
  std::string name;
  in >> name;
  EXPECT_EQ(name, "step-00000012");
  std::vector<int64_t> steps;
  for (const StepFolder& f : step_folders(c.proj_dir)) steps.push_back(f.step);
  EXPECT_EQ(steps, (std::vector<int64_t>{20, 12}));
}

}  // namespace
}  // namespace rk
