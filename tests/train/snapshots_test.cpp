// Snapshots: complete ones are found again on any hosts that are left, damage and strangers are not.
#include "train/snapshots.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "comm/backends.h"
#include "support/temporary_folder.h"
#include "support/tiny_run.h"
#include "train/checkpoint_folders.h"
#include "train/snapshot_folder.h"
#include "train/snapshot_start.h"

namespace rk {
namespace {

namespace fs = std::filesystem;
using testing_support::TemporaryFolder;

const std::vector<TensorShape> kShapes = {{"a", {300, 1000}}, {"b", {7}}};

// One rank's part of the tensors, all of whose numbers are `value`.
struct State {
  std::vector<std::vector<float>> values;
  std::vector<TensorPiece> pieces;
  State(int rank, int world, float value) {
    for (const TensorShape& t : kShapes) {
      const int64_t n = numel(t), begin = n * rank / world, end = n * (rank + 1) / world;
      values.emplace_back(static_cast<size_t>(end - begin), value);
      pieces.push_back({t.name, "master", begin, {values.back().data(), {end - begin}, DType::f32, Device::cpu}});
    }
  }
};

// Hosts are folders; ranks lie on them in turn of two.
class SnapshotTest : public testing::Test {
 protected:
  std::string host(int node) const { return folder_.path(cat("host", node)); }
  Snapshots::Site site(int rank, bool partner = false, const std::string& run = "run") const {
    return {.dir = host(rank / 2), .run = run, .partner = partner, .node = rank / 2, .tensors = kShapes};
  }
  // Steps one after another, as training would make them.
  void make(int world, const std::vector<int64_t>& steps, bool partner = false) {
    run_thread_world(world, [&](Comm& comm) {
      ShardWriter writer({});
      Snapshots snapshots(site(comm.rank(), partner), comm, writer);
      for (int64_t step : steps) {
        const State s(comm.rank(), world, static_cast<float>(step));
        CheckpointState state;
        state.step = step;
        state.model_dtype = "f32";
        snapshots.begin(state, s.pieces);
        writer.wait();
        std::string said = snapshots.end(false);
        while (!snapshots.idle()) said = snapshots.go_on();
        EXPECT_NE(said.find(cat("snapshot of step ", step)), std::string::npos) << said;
      }
    });
  }
  FoundSnapshot find(int world, int64_t newer_than = -1, std::string* remarks = nullptr) {
    FoundSnapshot found;
    run_thread_world(world, [&](Comm& comm) {
      std::vector<std::string> said;
      const int node = comm.rank() / 2;
      const auto mine = find_snapshot(comm, {.dir = host(node), .run = "run", .newer_than = newer_than, .node = node}, said);
      if (mine.step >= 0) {
        CheckpointReader reader(mine.folder);
        std::vector<float> x(300000);
        reader.read("a", "master", 0, 300000, DType::f32, x.data());
        EXPECT_EQ(x, std::vector<float>(300000, static_cast<float>(mine.step)));
      }
      if (comm.rank() == 0) {
        found = mine;
        if (remarks)
          for (const std::string& s : said) *remarks += s + "\n";
      }
    });
    return found;
  }
  TemporaryFolder folder_;
};

TEST_F(SnapshotTest, the_newest_complete_one_is_found_on_any_number_of_ranks) {
  make(4, {10, 20});
  EXPECT_FALSE(fs::exists(host(0) + "/step-00000010"));  // one complete set is enough
  for (int world : {4, 2, 3, 1}) {
    if (world < 3) {  // all shards on one host
      for (const auto& e : fs::directory_iterator(host(1) + "/step-00000020"))
        fs::copy(e.path(), host(0) + "/step-00000020", fs::copy_options::skip_existing);
    }
    EXPECT_EQ(find(world).step, 20);
  }
  EXPECT_EQ(find(4, 20).step, -1);  // a checkpoint is as new
}

TEST_F(SnapshotTest, a_lost_host_loses_nothing_that_partners_hold) {
  make(4, {10}, true);
  fs::remove_all(host(1));
  EXPECT_EQ(find(4).step, 10);
  EXPECT_TRUE(fs::exists(host(1) + "/step-00000010/shard-00003.h5"));
  fs::remove_all(host(0));
  fs::rename(host(1), host(0));
  EXPECT_EQ(find(2).step, 10);
}

TEST_F(SnapshotTest, three_hosts_help_each_other) {
  make(6, {10}, true);
  for (int lost : {0, 1, 2}) {
    fs::remove_all(host(lost));
    EXPECT_EQ(find(6).step, 10) << lost;
  }
}

TEST_F(SnapshotTest, without_partners_a_lost_host_is_a_lost_snapshot) {
  make(4, {10});
  fs::remove_all(host(1));
  std::string remarks;
  EXPECT_EQ(find(4, -1, &remarks).step, -1);
  EXPECT_NE(remarks.find("2 of its 4 shards are there"), std::string::npos) << remarks;
}

TEST_F(SnapshotTest, what_was_cut_off_or_belongs_to_another_run_is_no_snapshot) {
  make(2, {10});
  fs::copy(host(0) + "/step-00000010", host(0) + "/step-00000030", fs::copy_options::recursive);  // a name alone makes none
  fs::copy(host(0) + "/step-00000010", folder_.path("copy"), fs::copy_options::recursive);
  fs::resize_file(host(0) + "/step-00000010/shard-00001.h5", 5000);
  EXPECT_EQ(find(2).step, -1);
  fs::remove_all(host(0) + "/step-00000010");
  fs::copy(folder_.path("copy"), host(0) + "/step-00000010", fs::copy_options::recursive);
  EXPECT_EQ(find(2).step, 10);
  std::vector<std::string> remarks;
  const auto comm = make_self_comm();
  EXPECT_EQ(find_snapshot(*comm, {.dir = host(0), .run = "another"}, remarks).step, -1);
}

TEST_F(SnapshotTest, one_that_is_given_up_leaves_the_older_one) {
  make(2, {10});
  run_thread_world(2, [&](Comm& comm) {
    ShardWriter writer({});
    Snapshots snapshots(site(comm.rank()), comm, writer);
    const State s(comm.rank(), 2, 20);
    CheckpointState state;
    state.step = 20;
    snapshots.begin(state, s.pieces);
    if (comm.rank() == 0) writer.wait();
    snapshots.cancel();
    EXPECT_TRUE(snapshots.idle());
    comm.barrier();
  });
  EXPECT_FALSE(fs::exists(host(0) + "/step-00000020"));
  EXPECT_EQ(find(2).step, 10);
}

// A run that dies without a checkpoint since goes on from its snapshot, with the same numbers.
TEST_F(SnapshotTest, a_run_goes_on_from_its_snapshot) {
  write_tiny_data(folder_.path("tiny"), 3000, 50);
  RunConfig whole = tiny_config(folder_.root(), "whole", 2);
  whole.epoch_save = 0;
  const auto expected = tiny_train(whole, 2)[0];
  RunConfig c = whole;
  c.proj_dir = folder_.path("cut");
  c.snapshot_every = {.every = 4};
  c.snapshot_dir = folder_.path("shm");
  // Ends like a killed process: by an error of the observer, when there is a snapshot.
  struct Killed : TinyHistory {
    void step(const StepReport& r) override {
      TinyHistory::step(r);
      usleep(30000);
      for (const std::string& said : lines)
        if (said.starts_with("snapshot of step")) fail("killed", ExitCode::failure);
    }
  };
  EXPECT_THROW(run_thread_world(2,
                                [&](Comm& comm) {
                                  Killed mine;
                                  StopFlags flags;
                                  train(c, comm, {}, mine, flags);
                                }),
               Error);
  ASSERT_TRUE(step_folders(c.proj_dir).empty());
  ASSERT_FALSE(step_folders(snapshot_dir(c)).empty());
  const int64_t step = step_folders(snapshot_dir(c)).front().step;
  EXPECT_GE(step, 4);
  c.resume = "auto";
  const auto second = tiny_train(c, 2)[0];
  EXPECT_GE(second.steps.front(), 5);
  const auto begin = static_cast<std::ptrdiff_t>(second.steps.front() - 1);
  EXPECT_EQ(second.loss, std::vector<double>(expected.loss.begin() + begin, expected.loss.end()));
  EXPECT_FALSE(fs::exists(snapshot_dir(c)));  // the end of a run needs none
  EXPECT_TRUE(fs::exists(c.proj_dir + "/step-00000020/manifest.json"));
}

}  // namespace
}  // namespace rk
