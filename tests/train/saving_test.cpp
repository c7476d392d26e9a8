// How a run saves itself while it goes on, and what it goes on from.
#include "train/saving.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "support/read_file.h"
#include "support/temporary_folder.h"
#include "support/tiny_run.h"
#include "train/background_export.h"
#include "train/checkpoint_folders.h"

namespace rk {
namespace {

namespace fs = std::filesystem;

class SavingTest : public testing::Test {
 protected:
  void SetUp() override { write_tiny_data(folder_.path("tiny"), 3000, 50); }
  testing_support::TemporaryFolder folder_;
};

TEST_F(SavingTest, weights_made_of_a_checkpoint_are_those_of_the_run) {
  for (const std::string precision : {"fp32", "bf16"}) {
    RunConfig c = tiny_config(folder_.root(), precision, 2);
    c.precision = precision;
    c.epoch_save = 1;
    c.max_steps = 16;
    const auto history = tiny_train(c, 2)[0];
    // That of step 8 was made of the folder, that of the last step by the ranks.
    ASSERT_TRUE(fs::exists(c.proj_dir + "/rwkv-0.pth"));
    fs::create_directory(folder_.path(precision + "-again"));
    const std::string again = folder_.path(precision + "-again/rwkv-1.pth");
    export_checkpoint(c.proj_dir + "/step-00000016", again);
    EXPECT_EQ(testing_support::read_file(again), testing_support::read_file(c.proj_dir + "/rwkv-1.pth"));
    export_checkpoint(c.proj_dir + "/step-00000008", folder_.path(precision + "-again/rwkv-0.pth"));
    EXPECT_EQ(testing_support::read_file(folder_.path(precision + "-again/rwkv-0.pth")),
              testing_support::read_file(c.proj_dir + "/rwkv-0.pth"));
  }
}

TEST_F(SavingTest, weights_that_were_not_written_before_the_end_are_made_up_for) {
  RunConfig c = tiny_config(folder_.root(), "run");
  c.epoch_save = 1;
  c.max_steps = 10;
  tiny_train(c, 1);
  fs::remove_all(c.proj_dir + "/step-00000010");  // as if the run had died right after the save of step 8
  fs::remove(c.proj_dir + "/rwkv-0.pth");
  c.resume = "auto";
  tiny_train(c, 1);
  EXPECT_TRUE(fs::exists(c.proj_dir + "/rwkv-0.pth"));
}

TEST_F(SavingTest, damage_inside_the_newest_checkpoint_leads_to_the_one_before_on_all_ranks) {
  RunConfig c = tiny_config(folder_.root(), "run", 2);
  c.epoch_save = 0;
  c.save_every = {.every = 6};
  c.max_steps = 12;
  c.zero = 2;
  tiny_train(c, 2);
  const std::string shard = c.proj_dir + "/step-00000012/shard-00001.h5";
  std::fstream f(shard, std::ios::in | std::ios::out | std::ios::binary);
  f.seekp(static_cast<std::streamoff>(fs::file_size(shard) / 2));
  f.write("damage", 6);
  f.close();
  c.resume = "auto";
  c.max_steps = 14;
  const auto ranks = tiny_train(c, 2);
  for (const TinyHistory& h : ranks) EXPECT_EQ(h.steps.front(), 7);
  std::string said;
  for (const std::string& line : ranks[0].lines) said += line + "\n";
  EXPECT_NE(said.find("step-00000012 is skipped"), std::string::npos) << said;
  EXPECT_NE(said.find("trying " + c.proj_dir + "/step-00000006"), std::string::npos) << said;
}

}  // namespace
}  // namespace rk
