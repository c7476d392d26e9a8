#include "comm/watchdog.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <memory>
#include <string>

#include "comm/backends.h"
#include "support/temporary_folder.h"

namespace rk {
namespace {

using testing_support::TemporaryFolder;

struct Ended {
  int code;
  std::string words;  // what it wrote to stderr
};

// Runs `body` in a process of its own; a body that returns leaves with 0.
Ended run_apart(const std::function<void()>& body) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    body();
    _exit(0);
  }
  close(ends[1]);
  Ended e{-1, ""};
  char buffer[512];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;) e.words.append(buffer, static_cast<size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status)) e.code = WEXITSTATUS(status);
  return e;
}

void sleep_ms(int ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

// Forking is no good once MPI runs in this process.
class WatchdogTest : public testing::Test {
 protected:
  bool alone() const { return !under_mpi(); }
};

TEST_F(WatchdogTest, EndsTheProcessWith70) {
  if (!alone()) return;
  const Ended e = run_apart([] {
    Watchdog dog({.timeout_s = 0.2, .rank = 3});
    dog.progress(12, "backward", "blocks.3");
    sleep_ms(10000);
  });
  EXPECT_EQ(e.code, 70);
  EXPECT_NE(e.words.find("[rank 3]"), std::string::npos) << e.words;
  EXPECT_NE(e.words.find("step 12, in \"backward of blocks.3\""), std::string::npos) << e.words;
}

// What a GPU's communicators say of themselves.
class Says final : public Pending {
 public:
  explicit Says(const char* words) : words_(words) {}
  size_t describe(char* text, size_t n) const noexcept override {
    const size_t length = std::min(std::strlen(words_), n - 1);
    if (length == 0) return 0;
    std::memcpy(text, words_, length);
    text[length] = 0;
    return length;
  }

 private:
  const char* words_;
};

TEST_F(WatchdogTest, NamesTheCollectiveThatIsStuck) {
  if (!alone()) return;
  const auto words_of = [](const char* stuck) {
    return run_apart([stuck] {
             const Says gpu(stuck);
             Watchdog dog({.timeout_s = 0.2, .rank = 1, .on_gpu = &gpu});
             dog.progress(12, "waiting for its numbers");
             sleep_ms(10000);
           })
        .words;
  };
  const std::string stuck = words_of("reduce-scatter of 268.4 MB of gradients (number 731) has begun and not ended");
  EXPECT_NE(stuck.find("in \"waiting for its numbers\"; on the GPU: reduce-scatter of 268.4 MB of gradients (number 731) has begun and not "
                       "ended; another rank"),
            std::string::npos)
      << stuck;
  const std::string idle = words_of("");
  EXPECT_NE(idle.find("; on the GPU: no collective is under way; another rank"), std::string::npos) << idle;
}

// mpirun ends the ranks that a dead one leaves behind; they say what they waited for, once.
TEST_F(WatchdogTest, SaysWhatItWaitsForWhenToldToEnd) {
  if (!alone()) return;
  const auto words_of = [](bool told, int wait_ms) {
    return run_apart([=] {
             const Says gpu("all-gather of weights (number 5) has begun and not ended");
             const std::atomic<bool> terminated(told);
             Watchdog dog({.timeout_s = 60, .rank = 2, .on_gpu = &gpu, .terminated = &terminated});
             dog.progress(3, "forward");
             sleep_ms(wait_ms);
           })
        .words;
  };
  const std::string words = words_of(true, 1500);
  EXPECT_EQ(words.find("[rank 2] told to end; no progress for "), 0u) << words;
  EXPECT_NE(words.find("in step 3, in \"forward\"; on the GPU: all-gather of weights (number 5) has begun and not ended"),
            std::string::npos);
  EXPECT_EQ(std::count(words.begin(), words.end(), '\n'), 1) << words;
  EXPECT_EQ(words_of(false, 1000), "");
  EXPECT_EQ(words_of(true, 100), "") << "a rank that goes on has nothing to say";
}

// Both ranks in one process here; the second one stops giving signs of life.
TEST_F(WatchdogTest, NamesTheRankThatIsSilentAndLeaves) {
  if (!alone()) return;
  for (const bool saving : {false, true}) {
    const TemporaryFolder folder;
    const Ended e = run_apart([&] {
      Heartbeats own(folder.path("ranks.alive"), 0, 2, 0.05);
      auto other = std::make_unique<Heartbeats>(folder.path("ranks.alive"), 1, 2, 0.05);
      Watchdog dog({.timeout_s = 100, .rank = 0, .peers = &own, .silence_s = 1});
      own.watch(true);
      dog.progress(7, "forward");
      if (saving) dog.pause();
      sleep_ms(2500);
      const bool lives = write(STDERR_FILENO, "alive\n", 6) == 6;
      if (lives) other.reset();
      sleep_ms(10000);
    });
    EXPECT_EQ(e.code, 70);
    EXPECT_EQ(e.words.find("alive\n[rank 0] no progress for "), 0u) << e.words;
    EXPECT_NE(e.words.find("rank 1: no sign of life"), std::string::npos) << e.words;
    EXPECT_NE(e.words.find("the newest complete checkpoint is intact"), std::string::npos) << e.words;
  }
}

TEST(Heartbeats, NobodyIsSilentWithoutAFile) {
  Heartbeats own("/nonexistent/folder/ranks.alive", 0, 3, 0.02);
  own.watch(true);
  sleep_ms(200);
  EXPECT_EQ(own.silent_rank(0.05), -1);
}

TEST(Heartbeats, SaysWhoIsBehind) {
  const TemporaryFolder folder;
  const std::string path = folder.path("ranks.alive");
  Heartbeats own(path, 0, 3, 0.02), ahead(path, 1, 3, 0.02), behind(path, 2, 3, 0.02);
  own.at(5), ahead.at(5), behind.at(4);
  own.watch(true);
  char text[200] = "";
  for (int i = 0; i < 100 && own.describe(text, sizeof text, 10) == 0; ++i) sleep_ms(20);
  EXPECT_STREQ(text, "rank 2 in an earlier step");
}

TEST_F(WatchdogTest, ProgressKeepsItQuiet) {
  if (!alone()) return;
  const Ended e = run_apart([] {
    Watchdog dog({.timeout_s = 1});
    for (int i = 0; i < 30; ++i) {
      dog.progress(i, "forward");
      sleep_ms(50);
    }
  });
  EXPECT_EQ(e.code, 0) << e.words;
}

TEST_F(WatchdogTest, APauseIsNotAHang) {
  if (!alone()) return;
  const Ended e = run_apart([] {
    Watchdog dog({.timeout_s = 0.3});
    dog.pause();
    sleep_ms(1000);
    dog.resume();
    sleep_ms(50);
  });
  EXPECT_EQ(e.code, 0) << e.words;
}

TEST_F(WatchdogTest, WithoutALimitItNeverExpires) {
  if (!alone()) return;
  const Ended e = run_apart([] {
    Watchdog dog({.timeout_s = 0});
    sleep_ms(200);
  });
  EXPECT_EQ(e.code, 0) << e.words;
}

}  // namespace
}  // namespace rk
