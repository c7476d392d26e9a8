// Checkpoint folders: any split in, any split out; damage is named; a failed or killed save leaves the older ones alone.
#include "train/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <numeric>

#include "comm/backends.h"
#include "io/disk.h"
#include "support/temporary_folder.h"
#include "train/checkpoint_writer.h"

namespace rk {
namespace {

namespace fs = std::filesystem;
using testing_support::TemporaryFolder;

const std::vector<TensorShape> shapes = {{"emb.weight", {37, 5}}, {"blocks.0.att.x_r", {1, 1, 5}}, {"head.weight", {100, 70}}};
// 15 MiB, several checksums a piece.
const std::vector<TensorShape> large_shapes = {{"emb.weight", {37, 5}}, {"head.weight", {1000, 1300}}};

int64_t numel_of(const TensorShape& t) {
  int64_t n = 1;
  for (int64_t s : t.shape) n *= s;
  return n;
}

float value_of(size_t tensor, const std::string& part, int64_t i, int64_t salt) {
  return static_cast<float>(i + salt) * (part == "master" ? 1.f : part == "m" ? 0.5f : 0.25f) + static_cast<float>(tensor);
}

// One rank's share when every tensor is cut into `world` runs.
struct Share {
  std::vector<std::vector<float>> values;
  std::vector<TensorPiece> pieces;
};
Share share_of(int rank, int world, int64_t salt, const std::vector<TensorShape>& tensors = shapes) {
  Share s;
  for (size_t t = 0; t < tensors.size(); ++t) {
    const int64_t n = numel_of(tensors[t]), begin = n * rank / world, end = n * (rank + 1) / world;
    for (const char* part : {"master", "m", "v"}) {
      s.values.emplace_back();
      for (int64_t i = begin; i < end; ++i) s.values.back().push_back(value_of(t, part, i, salt));
      Tensor data;
      data.data = s.values.back().data();
      data.shape = {end - begin};
      s.pieces.push_back({tensors[t].name, part, begin, data});
    }
  }
  return s;
}

CheckpointState state_of(int64_t step) {
  CheckpointState s;
  s.step = step;
  s.adam_t = step - 1;
  s.tokens = 1000 * step;
  s.samples = 10 * step;
  s.epoch_loss_sum = 1.0 / 3;
  s.epoch_loss_steps = 2;
  s.model_dtype = "bf16";
  s.config = "lr_init = 0.1  # flag\n";
  s.extra = {{"ctx_len", "128"}};
  return s;
}

// Nothing, or the sentence of the error.
std::optional<std::string> save(const std::string& proj_dir, int64_t step, int world, KeepRule keep = {},
                                const std::vector<TensorShape>& tensors = shapes) {
  std::optional<std::string> outcome;
  run_thread_world(world, [&](Comm& comm) {
    CheckpointSaver saver(proj_dir, tensors, keep);
    const Share share = share_of(comm.rank(), world, step, tensors);
    saver.begin(comm, state_of(step), share.pieces);
    EXPECT_TRUE(saver.busy());
    const auto error = saver.commit(comm);
    EXPECT_FALSE(saver.busy());
    if (comm.rank() == 0) outcome = error;
  });
  return outcome;
}

void expect_readable(const std::string& folder, int64_t step, int world) {
  CheckpointReader reader(folder);
  EXPECT_EQ(reader.state().step, step);
  EXPECT_EQ(reader.state().adam_t, step - 1);
  EXPECT_EQ(reader.state().tokens, 1000 * step);
  EXPECT_EQ(reader.state().epoch_loss_sum, 1.0 / 3);
  EXPECT_EQ(reader.state().config, "lr_init = 0.1  # flag\n");
  EXPECT_EQ(reader.state().extra.at("ctx_len"), "128");
  for (size_t t = 0; t < reader.tensors().size(); ++t) {
    const TensorShape& tensor = reader.tensors()[t];
    const int64_t n = numel_of(tensor);
    for (const char* part : {"master", "m", "v"}) {
      ASSERT_TRUE(reader.has(tensor.name, part));
      for (int r = 0; r < world; ++r) {
        const int64_t begin = n * r / world, end = n * (r + 1) / world;
        std::vector<double> x(static_cast<size_t>(end - begin));
        reader.read(tensor.name, part, begin, end - begin, DType::f64, x.data());
        for (int64_t i = begin; i < end; ++i) ASSERT_EQ(x[static_cast<size_t>(i - begin)], static_cast<double>(value_of(t, part, i, step)));
      }
    }
  }
}

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& e : fs::directory_iterator(folder)) names.push_back(e.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::bad_input);
    return e.what();
  }
  return "";
}

void flip_byte(const std::string& path, int64_t at) {
  std::fstream f(path, std::ios::in | std::ios::out | std::ios::binary);
  f.seekg(at);
  const char c = static_cast<char>(f.get());
  f.seekp(at);
  f.put(static_cast<char>(c ^ 1));
}

// Reads everything and returns the first error.
std::string damage_of(const std::string& folder) {
  return message_of([&] {
    CheckpointReader reader(folder);
    for (const TensorShape& t : reader.tensors())
      for (const char* part : {"master", "m", "v"}) {
        std::vector<float> x(static_cast<size_t>(numel_of(t)));
        reader.read(t.name, part, 0, numel_of(t), DType::f32, x.data());
      }
  });
}

TEST(Checkpoint, WrittenByAnyWorldReadByAnyOther) {
  for (int world : {1, 2, 4, 7}) {
    TemporaryFolder folder;
    ASSERT_EQ(save(folder.root(), 12, world), std::nullopt);
    EXPECT_EQ(names_in(folder.root()), (std::vector<std::string>{"latest", "step-00000012"}));
    for (int other : {1, 2, 3, 5}) expect_readable(folder.path("step-00000012"), 12, other);
  }
}

TEST(Checkpoint, TensorsOfSeveralChunks) {
  TemporaryFolder folder;
  ASSERT_EQ(save(folder.root(), 3, 2, {}, large_shapes), std::nullopt);
  EXPECT_EQ(CheckpointReader(folder.path("step-00000003")).tensors()[1].shape, large_shapes[1].shape);
  expect_readable(folder.path("step-00000003"), 3, 1);
  expect_readable(folder.path("step-00000003"), 3, 3);
}

TEST(Checkpoint, UnevenAndMissingPieces) {
  TemporaryFolder folder;
  run_thread_world(3, [&](Comm& comm) {
    CheckpointSaver saver(folder.root(), {{"a", {10}}, {"b", {4}}}, {});
    std::vector<double> x(10);
    std::iota(x.begin(), x.end(), 0.0);
    const auto slice = [&](int64_t begin, int64_t n) {
      Tensor t;
      t.data = x.data() + begin;
      t.shape = {n};
      t.dtype = DType::f64;
      return t;
    };
    // Rank 0 owns two runs of a, rank 1 the middle, rank 2 nothing; b has no master at all.
    std::vector<TensorPiece> pieces;
    if (comm.rank() == 0) pieces = {{"a", "master", 7, slice(7, 3)}, {"a", "master", 0, slice(0, 2)}};
    if (comm.rank() == 1) pieces = {{"a", "master", 2, slice(2, 5)}};
    saver.begin(comm, state_of(1), pieces);
    EXPECT_EQ(saver.commit(comm), std::nullopt);
  });
  CheckpointReader reader(folder.path("step-00000001"));
  EXPECT_FALSE(reader.has("b", "master"));
  EXPECT_FALSE(reader.has("a", "m"));
  std::vector<float> x(6);
  reader.read("a", "master", 1, 6, DType::f32, x.data());
  EXPECT_EQ(x, (std::vector<float>{1, 2, 3, 4, 5, 6}));
  EXPECT_THROW(reader.read("b", "master", 0, 1, DType::f32, x.data()), Error);
  EXPECT_THROW(reader.read("a", "master", 8, 3, DType::f32, x.data()), Error);
}

// An update of all buckets while a save is under way, as Shards makes it: bucket after bucket.
void update(CheckpointSaver& saver, Share& share) {
  for (size_t i = 0; i < share.pieces.size(); ++i) {
    saver.writer().before_update(share.pieces[i].bucket, nullptr);
    std::fill(share.values[i].begin(), share.values[i].end(), -1.f);
  }
}

TEST(Checkpoint, UpdatesWaitForTheirPartOfTheState) {
  for (bool copied : {true, false})
    for (const auto& tensors : {shapes, large_shapes}) {
      TemporaryFolder folder;
      run_thread_world(2, [&](Comm& comm) {
        CheckpointSaver saver(folder.root(), tensors, {});
        if (copied) saver.writer().reserve(size_t{16} << 20);
        EXPECT_EQ(saver.writer().reserved(), "");
        for (int64_t step : {5, 6}) {
          Share share = share_of(comm.rank(), 2, step, tensors);
          for (size_t i = 0; i < share.pieces.size(); ++i) share.pieces[i].bucket = i / 2;
          saver.begin(comm, state_of(step), share.pieces);
          update(saver, share);
          EXPECT_EQ(saver.commit(comm), std::nullopt);
          EXPECT_GT(saver.figures().n_bytes, 1000);
          update(saver, share);  // nothing is waited for any longer
        }
        EXPECT_EQ(saver.writer().reserved_bytes(), copied ? size_t{16} << 20 : 0);
      });
      expect_readable(folder.path("step-00000005"), 5, 3);
      expect_readable(folder.path("step-00000006"), 6, 1);
    }
}

TEST(Checkpoint, ARankThatHasFailedEndsTheSaveOfTheOthers) {
  TemporaryFolder folder;
  fs::create_directories(folder.path("step-00000002.tmp/shard-00001.h5/in the way"));
  run_thread_world(3, [&](Comm& comm) {
    Share share = share_of(comm.rank(), 3, 2, large_shapes);
    CheckpointSaver saver(folder.root(), large_shapes, {});
    saver.begin(comm, state_of(2), share.pieces);
    if (comm.rank() != 1) saver.cancel();
    update(saver, share);  // is not held up
    const auto error = saver.commit(comm);
    ASSERT_TRUE(error.has_value());
    EXPECT_NE(error->find("shard-00001.h5"), std::string::npos) << *error;
  });
  EXPECT_TRUE(names_in(folder.root()).empty());
}

TEST(Checkpoint, FoldersThatOthersNeedAreKept) {
  TemporaryFolder folder;
  const auto comm = make_self_comm();
  for (int64_t step : {1, 2, 3, 4, 9, 5}) {
    const Share share = share_of(0, 1, step);
    CheckpointSaver saver(folder.root(), shapes, {.last = 1});
    saver.begin(*comm, state_of(step), share.pieces);
    EXPECT_EQ(saver.commit(*comm, {2}), std::nullopt);
  }
  // 9 is of a history that was left for an older checkpoint.
  EXPECT_EQ(names_in(folder.root()), (std::vector<std::string>{"latest", "step-00000002", "step-00000005", "step-00000009"}));
}

TEST(Checkpoint, KeepRuleAndLatest) {
  TemporaryFolder folder;
  fs::create_directory(folder.path("step-00000003.tmp"));  // of a run that was killed
  fs::create_directory(folder.path("step-notes"));
  for (int64_t step : {1, 2, 4, 5, 6, 8, 9}) ASSERT_EQ(save(folder.root(), step, 1, {.last = 2, .every = 4}), std::nullopt);
  EXPECT_EQ(names_in(folder.root()), (std::vector<std::string>{"latest", "step-00000004", "step-00000008", "step-00000009", "step-notes"}));
  std::ifstream latest(folder.path("latest"));
  std::string name;
  latest >> name;
  EXPECT_EQ(name, "step-00000009");
}

TEST(Checkpoint, SavingAStepAgainReplacesIt) {
  TemporaryFolder folder;
  ASSERT_EQ(save(folder.root(), 7, 4), std::nullopt);
  ASSERT_EQ(save(folder.root(), 7, 2), std::nullopt);
  EXPECT_EQ(names_in(folder.path("step-00000007")), (std::vector<std::string>{"manifest.json", "shard-00000.h5", "shard-00001.h5"}));
  EXPECT_EQ(names_in(folder.root()), (std::vector<std::string>{"latest", "step-00000007"}));
  expect_readable(folder.path("step-00000007"), 7, 3);
}

TEST(Checkpoint, LeftoversOfACutOffSaveAreNotTakenOver) {
  TemporaryFolder folder;
  fs::create_directory(folder.path("step-00000007.tmp"));
  std::ofstream(folder.path("step-00000007.tmp/shard-00009.h5")) << "old";
  ASSERT_EQ(save(folder.root(), 7, 2), std::nullopt);
  EXPECT_EQ(names_in(folder.path("step-00000007")), (std::vector<std::string>{"manifest.json", "shard-00000.h5", "shard-00001.h5"}));
}

class Damaged : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(save(folder_.root(), 1, 2), std::nullopt);
    ASSERT_EQ(save(folder_.root(), 2, 2), std::nullopt);
    ASSERT_EQ(damage_of(newest_), "");
  }
  // The newest that can be opened is now the older one, and the warning names the newer.
  void expect_fallback() {
    std::vector<std::string> warnings;
    EXPECT_EQ(newest_checkpoint(folder_.root(), warnings), folder_.path("step-00000001"));
    ASSERT_EQ(warnings.size(), 1u);
    EXPECT_NE(warnings[0].find("step-00000002"), std::string::npos) << warnings[0];
  }
  TemporaryFolder folder_;
  std::string newest_ = folder_.path("step-00000002");
};

TEST_F(Damaged, AFlippedByteAnywhereInTheNumbers) {
  const auto size = static_cast<int64_t>(fs::file_size(newest_ + "/shard-00001.h5"));
  int n_noticed = 0;
  for (int64_t at = size / 5; at < size; at += size / 17) {  // some of these bytes are structure or padding
    flip_byte(newest_ + "/shard-00001.h5", at);
    const std::string message = damage_of(newest_);
    n_noticed += message.find("shard-00001.h5 is damaged") != std::string::npos;
    if (message.empty()) expect_readable(newest_, 2, 1);
    flip_byte(newest_ + "/shard-00001.h5", at);
  }
  EXPECT_GT(n_noticed, 5);
  EXPECT_EQ(damage_of(newest_), "");
}

TEST_F(Damaged, AFlippedByteInTheFileStructureNeverPasses) {
  // Bytes that mean nothing may be flipped without harm; the numbers must be right in any case.
  for (int64_t at = 0; at < 4096; at += 61) {
    flip_byte(newest_ + "/shard-00000.h5", at);
    const std::string message = damage_of(newest_);
    if (message.empty()) expect_readable(newest_, 2, 2);
    flip_byte(newest_ + "/shard-00000.h5", at);
  }
}

TEST_F(Damaged, ATruncatedShard) {
  fs::resize_file(newest_ + "/shard-00000.h5", fs::file_size(newest_ + "/shard-00000.h5") - 1);
  EXPECT_NE(damage_of(newest_).find("shard-00000.h5 has "), std::string::npos);
  expect_fallback();
}

TEST_F(Damaged, AMissingShard) {
  fs::remove(newest_ + "/shard-00001.h5");
  EXPECT_NE(damage_of(newest_).find("shard-00001.h5 is missing"), std::string::npos);
  expect_fallback();
}

TEST_F(Damaged, AShardOfAnotherStep) {
  fs::copy_file(folder_.path("step-00000001/shard-00000.h5"), newest_ + "/shard-00000.h5", fs::copy_options::overwrite_existing);
  // The same sizes and sound checksums, so that nothing can be seen in the file itself.
  EXPECT_NE(damage_of(newest_), "");
}

TEST_F(Damaged, ACutManifest) {
  const std::string path = newest_ + "/manifest.json";
  for (double part : {0.0, 0.3, 0.99}) {
    const auto size = static_cast<double>(fs::file_size(path));
    fs::resize_file(path, static_cast<uintmax_t>(size * part));
    EXPECT_NE(damage_of(newest_).find("manifest.json"), std::string::npos);
    ASSERT_EQ(save(folder_.root(), 2, 2), std::nullopt);
  }
  fs::remove(path);
  EXPECT_NE(damage_of(newest_).find("manifest.json is missing"), std::string::npos);
  expect_fallback();
}

TEST_F(Damaged, AForeignManifest) {
  const std::string path = newest_ + "/manifest.json";
  for (const char* text : {"{}", "[1]", "{\"format\": \"other\", \"version\": 1}", "{\"format\": \"rookery-checkpoint\", \"version\": 99}",
                           "{\"format\": \"rookery-checkpoint\", \"version\": 1, \"checksum\": \"0\"}"}) {
    std::ofstream(path) << text;
    EXPECT_NE(damage_of(newest_).find("manifest.json is "), std::string::npos) << damage_of(newest_);
  }
  expect_fallback();
}

TEST_F(Damaged, AChangedNumberInTheManifest) {
  const std::string path = newest_ + "/manifest.json";
  std::ifstream in(path);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  text.replace(text.find("2000"), 4, "2001");
  std::ofstream(path) << text;
  EXPECT_NE(damage_of(newest_).find("checksum"), std::string::npos);
}

TEST(Checkpoint, NoneThere) {
  TemporaryFolder folder;
  std::vector<std::string> warnings;
  EXPECT_EQ(newest_checkpoint(folder.root(), warnings), std::nullopt);
  EXPECT_EQ(newest_checkpoint(folder.path("missing"), warnings), std::nullopt);
  EXPECT_TRUE(warnings.empty());
}

TEST(Checkpoint, AnUncommittedSaveLeavesNothing) {
  TemporaryFolder folder;
  ASSERT_EQ(save(folder.root(), 1, 1), std::nullopt);
  {
    auto comm = make_self_comm();
    const Share share = share_of(0, 1, 2);
    CheckpointSaver saver(folder.root(), shapes, {});
    saver.begin(*comm, state_of(2), share.pieces);
  }
  EXPECT_EQ(names_in(folder.root()), (std::vector<std::string>{"latest", "step-00000001"}));
}

TEST(Checkpoint, OneRankThatCannotWriteFailsTheSaveForAll) {
  TemporaryFolder folder;
  ASSERT_EQ(save(folder.root(), 1, 3), std::nullopt);
  // A folder stands where rank 1's file should be.
  fs::create_directories(folder.path("step-00000002.tmp/shard-00001.h5/in the way"));
  run_thread_world(3, [&](Comm& comm) {
    CheckpointSaver saver(folder.root(), shapes, {});
    const Share share = share_of(comm.rank(), 3, 2);
    saver.begin(comm, state_of(2), share.pieces);
    const auto error = saver.commit(comm);
    ASSERT_TRUE(error.has_value());
    EXPECT_NE(error->find("shard-00001.h5"), std::string::npos) << *error;
  });
  EXPECT_EQ(names_in(folder.root()), (std::vector<std::string>{"latest", "step-00000001"}));
  expect_readable(folder.path("step-00000001"), 1, 1);
  ASSERT_EQ(save(folder.root(), 2, 3), std::nullopt);
}

// Root makes a small file system; others lower the limit of a file's size, for the process that tries.
class SmallDisk {
 public:
  explicit SmallDisk(const std::string& at) : at_(at) {
    fs::create_directory(at);
    mounted_ = mount("none", at.c_str(), "tmpfs", 0, "size=24m") == 0;
  }
  ~SmallDisk() {
    if (mounted_) umount2(at_.c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }

 private:
  std::string at_;
  bool mounted_ = false;
};

TEST(Checkpoint, AFullDiskIsReportedAndTheOlderCheckpointStays) {
  TemporaryFolder folder;
  const std::string proj = folder.path("proj");
  SmallDisk disk(proj);
  if (!disk.mounted()) GTEST_SKIP() << "needs the right to mount";
  ASSERT_EQ(save(proj, 1, 1, {}, large_shapes), std::nullopt);
  const auto error = save(proj, 2, 1, {}, large_shapes);
  ASSERT_TRUE(error.has_value());
  EXPECT_NE(error->find("bytes are free"), std::string::npos) << *error;
  EXPECT_EQ(names_in(proj), (std::vector<std::string>{"latest", "step-00000001"}));
  expect_readable(proj + "/step-00000001", 1, 2);
  fs::remove_all(proj + "/step-00000001");
  EXPECT_EQ(save(proj, 2, 1, {}, large_shapes), std::nullopt);  // nothing of the failed save holds room
}

TEST(Checkpoint, ADiskThatFillsUpInTheMiddleIsReported) {
  TemporaryFolder folder;
  ASSERT_EQ(save(folder.root(), 1, 1), std::nullopt);
  const pid_t pid = fork();
  if (pid == 0) {
    // The check before writing sees enough room; writing itself then fails.
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{5 << 20, 5 << 20};
    setrlimit(RLIMIT_FSIZE, &limit);
    const auto error = save(folder.root(), 2, 2, {}, large_shapes);
    const bool named = error && error->find("shard-0000") != std::string::npos && error->find("File too large") != std::string::npos;
    _exit(named ? 0 : 1);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(names_in(folder.root()), (std::vector<std::string>{"latest", "step-00000001"}));
  expect_readable(folder.path("step-00000001"), 1, 1);
}

TEST(Checkpoint, KilledWhileWritingTheOlderOneIsTaken) {
  TemporaryFolder folder;
  ASSERT_EQ(save(folder.root(), 1, 2), std::nullopt);
  for (int delay_us : {0, 3000, 8000, 15000, 30000, 60000}) {
    const pid_t pid = fork();
    if (pid == 0) {
      for (int64_t step = 2;; ++step) save(folder.root(), step, 2, {}, large_shapes);
    }
    usleep(static_cast<useconds_t>(delay_us));
    kill(pid, SIGKILL);
    int status = 0;
    waitpid(pid, &status, 0);
    std::vector<std::string> warnings;
    const auto newest = newest_checkpoint(folder.root(), warnings);
    ASSERT_TRUE(newest.has_value());
    EXPECT_TRUE(warnings.empty()) << warnings[0];  // a half save never has a good name
    expect_readable(*newest, CheckpointReader(*newest).state().step, 2);
  }
}

}  // namespace
}  // namespace rk
