// What a run does where something goes wrong, and how its steps are made again.
#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

#include "support/tiny_run.h"
#include "train/bad_steps.h"
#include "train/checkpoint.h"
#include "train/config.h"
#include "train/replay.h"
#include "train/slow_ranks.h"
#include "train/step_limit.h"

namespace rk {
namespace {

using testing_support::TemporaryFolder;

std::string read(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

// The hashes of a run, by step.
std::map<int64_t, std::string> hashes_of(const std::string& run) {
  std::map<int64_t, std::string> hashes;
  std::ifstream in(run + "/metrics.jsonl");
  for (std::string line; std::getline(in, line);) {
    const auto json = nlohmann::json::parse(line);
    if (json.contains("hash")) hashes[json["step"]] = json["hash"];
  }
  return hashes;
}

TEST(SlowRanks, ARankIsNamedTheThirdTime) {
  SlowRanks slow({"n0", "n0", "n1", "n1"});
  const std::vector<double> even{1, 1.1, 0.9, 1}, uneven{1, 1.1, 0.9, 1.5};
  EXPECT_TRUE(slow.compare(uneven).empty());
  EXPECT_TRUE(slow.compare(uneven).empty());
  const auto lines = slow.compare(uneven);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("rank 3 on n1 computes slowly: 1.50 x the median"), std::string::npos) << lines[0];
  for (int i = 0; i < 9; ++i) EXPECT_TRUE(slow.compare(uneven).empty());
  EXPECT_EQ(slow.compare(uneven).size(), 1u);
  EXPECT_TRUE(slow.compare(even).empty());
  EXPECT_TRUE(slow.compare(uneven).empty()) << "the count begins anew";
}

TEST(SlowRanks, OfTwoTheFasterOneIsTheMeasure) {
  SlowRanks slow({"a", "b"});
  const std::vector<double> times{2, 1};
  slow.compare(times), slow.compare(times);
  ASSERT_EQ(slow.compare(times).size(), 1u);
}

TEST(StepLimit, TenStepsButAMinuteAtLeast) {
  StepLimit limit(600);
  EXPECT_EQ(limit.seconds(), 600);
  limit.add(100), limit.add(0.1);
  EXPECT_EQ(limit.seconds(), 600) << "first steps load and tune";
  limit.add(0.1);
  EXPECT_EQ(limit.seconds(), 60);
  for (int i = 0; i < 15; ++i) limit.add(20);
  EXPECT_EQ(limit.seconds(), 200);
  for (int i = 0; i < 15; ++i) limit.add(500);
  EXPECT_EQ(limit.seconds(), 600);
}

TEST(BadSteps, CountInARow) {
  BadSteps bad(2);
  StepReport step;
  step.skipped = true;
  bad.note(step, false);
  EXPECT_TRUE(bad.any());
  EXPECT_FALSE(bad.too_many());
  step.skipped = false;
  bad.note(step, false);
  EXPECT_FALSE(bad.any());
  step.skipped = true;
  bad.note(step, false), bad.note(step, false);
  EXPECT_TRUE(bad.too_many());
  BadSteps any_number(0);
  for (int i = 0; i < 100; ++i) any_number.note(step, false);
  EXPECT_FALSE(any_number.too_many());
}

TEST(BadSteps, AFallingLossScaleIsNoFault) {
  BadSteps bad(1);
  StepReport step;
  step.skipped = true;
  step.applied_scale = 4;
  bad.note(step, true);
  EXPECT_FALSE(bad.any());
  step.applied_scale = 1;
  bad.note(step, true);
  EXPECT_TRUE(bad.too_many());
}

TEST(Replay, OptionsOfACheckpointAreWordsAgain) {
  EXPECT_EQ(words_of_options("n_layer = 2  # flag\nproj_dir = \"a b = c  # d\"  # file\nval_file = \"\"  # default\nnothing\n"),
            (std::vector<std::string>{"--n_layer=2", "--proj_dir=a b = c  # d"}));
  RunConfig config = parse_config({"--data_file", "x", "--n_layer", "3", "--n_embd", "64", "--micro_bsz", "2", "--lr_init", "0.1"});
  validate(config, 2, {.plan = true});
  RunConfig again = parse_config(words_of_options(config.text));
  validate(again, 2, {.plan = true});
  const auto bare = [](const std::string& text) {
    std::string lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines += line.substr(0, line.rfind("  # ")) + "\n";
    return lines;
  };
  EXPECT_EQ(bare(again.text), bare(config.text));
}

// Who holds what does not matter.
TEST(StateHash, IsTheSameOnAnyNumberOfRanksForTheSameWeights) {
  const TemporaryFolder folder;
  write_tiny_data(folder.path("tiny"), 5000, 50);
  RunConfig c = tiny_config(folder.root(), "one");
  c.max_steps = 4;
  c.hash_every = 2;
  tiny_train(c, 1);
  const auto reference = hashes_of(c.proj_dir);
  ASSERT_EQ(reference.size(), 2u);
  EXPECT_NE(reference.at(2), reference.at(4));
  const std::string folder4 = c.proj_dir + "/step-00000004";
  EXPECT_EQ(CheckpointReader(folder4).state().extra.at("state_hash"), reference.at(4));
  for (const int world : {1, 2, 3})
    for (const int zero : {0, 1, 2, 3}) {
      RunConfig other = tiny_config(folder.root(), "other", world);
      other.resume = folder4;
      other.zero = zero;
      run_thread_world(world, [&](Comm& comm) {
        Observer silent;
        EXPECT_NO_THROW(replay(other, comm, {}, silent, 4)) << "the hash of what was loaded is another one";
      });
    }
}

TEST(Replay, EveryStepIsTheSame) {
  const TemporaryFolder folder;
  write_tiny_data(folder.path("tiny"), 5000, 50);
  for (const int world : {1, 2}) {
    RunConfig c = tiny_config(folder.root(), "run" + std::to_string(world), world, 2);
    c.max_steps = 9;
    c.hash_every = 3;
    c.save_every = {4, Cadence::Unit::steps};
    tiny_train(c, world);
    const ReplayStart start = find_replay_start(c.proj_dir, 8);
    EXPECT_EQ(start.step, 4);
    c.resume = start.folder;
    RecordedSteps recorded(c.proj_dir, start.step, 8);
    struct Compares : Observer {
      RecordedSteps* recorded = nullptr;
      std::string text;
      void step(const StepReport& r) override { text += recorded->compare(r) + "\n"; }
    };
    run_thread_world(world, [&](Comm& comm) {
      Compares compares;
      compares.recorded = &recorded;
      Observer silent;
      replay(c, comm, {}, comm.rank() == 0 ? static_cast<Observer&>(compares) : silent, 8);
      if (comm.rank() == 0) {
        EXPECT_EQ(std::count(compares.text.begin(), compares.text.end(), '\n'), 4) << compares.text;
        EXPECT_EQ(compares.text.find("DIFFERENT"), std::string::npos) << compares.text;
      }
    });
    EXPECT_TRUE(recorded.all_equal());
    EXPECT_EQ(recorded.n_hashes(), 2) << "of step 6, and of the checkpoint of step 8";
  }
}

// The rate destroys the weights; the run ends and leaves what it had before.
TEST(BadSteps, EndTheRunOnAllRanks) {
  const TemporaryFolder folder;
  write_tiny_data(folder.path("tiny"), 5000, 50);
  for (const int world : {1, 2}) {
    RunConfig c = tiny_config(folder.root(), "run" + std::to_string(world), world);
    c.max_steps = 100;
    c.save_every = {1, Cadence::Unit::steps};
    c.lr_init = c.lr_final = 1e38;
    c.warmup_steps = 0;
    c.max_bad_steps = 3;
    try {
      tiny_train(c, world);
      ADD_FAILURE() << "the run goes on";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::failure);
      EXPECT_NE(std::string(e.what()).find("had no finite loss or gradient"), std::string::npos) << e.what();
    }
    const auto report = nlohmann::json::parse(read(c.proj_dir + "/bad-steps.json"));
    ASSERT_EQ(report["steps"].size(), 3u);
    const int64_t first = report["steps"][0]["step"];
    EXPECT_EQ(report["steps"][0]["first_sample"], 24 * (first - 1) + 1);
    EXPECT_EQ(report["steps"][0]["token_offsets"].size(), 24u);
    std::vector<std::string> warnings;
    const auto newest = newest_checkpoint(c.proj_dir, warnings);
    if (first > 1) {
      ASSERT_TRUE(newest);
      EXPECT_LT(CheckpointReader(*newest).state().step, first);
    }
  }
}

}  // namespace
}  // namespace rk
