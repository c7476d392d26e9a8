// A stopped run, continued, is the uninterrupted run.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "support/tiny_run.h"

namespace rk {
namespace {

namespace fs = std::filesystem;

class Resume : public testing::Test {
 protected:
  void SetUp() override { write_tiny_data(folder_.path("tiny"), 6000, 50); }
  RunConfig config(const std::string& run, int world = 1) { return tiny_config(folder_.root(), run, world); }
  static std::vector<double> tail(const std::vector<double>& x, size_t from) {
    return {x.begin() + static_cast<std::ptrdiff_t>(from), x.end()};
  }
  static std::string text_of(const std::string& path) {
    std::ifstream in(path);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  testing_support::TemporaryFolder folder_;
};

TEST_F(Resume, on_the_same_ranks_every_bit_is_the_same) {
  for (const std::string precision : {"fp32", "bf16"})
    for (int zero : {0, 1, 2, 3}) {
      RunConfig whole = config(cat(precision, "-whole-", zero), 2);
      whole.precision = precision;
      whole.zero = zero;
      const auto expected = tiny_train(whole, 2)[0];
      RunConfig c = whole;
      c.proj_dir = folder_.path(cat(precision, "-cut-", zero));
      ExitCode code{};
      const auto first = tiny_train(c, 2, 7, &code)[0];
      EXPECT_EQ(code, ExitCode::interrupted);
      ASSERT_EQ(first.loss.size(), 7u);
      c.resume = "auto";
      const auto second = tiny_train(c, 2, 0, &code)[0];
      EXPECT_EQ(code, ExitCode::done);
      EXPECT_EQ(second.steps.front(), 8);
      EXPECT_EQ(second.loss, tail(expected.loss, 7));
      EXPECT_EQ(second.lr, tail(expected.lr, 7));
      EXPECT_EQ(weights_of(c.proj_dir + "/rwkv-final.pth"), weights_of(whole.proj_dir + "/rwkv-final.pth"));
    }
}

TEST_F(Resume, on_other_ranks_and_stages) {
  RunConfig whole = config("whole");
  whole.precision = "fp64";
  const auto expected = tiny_train(whole, 1)[0];
  for (auto [world, zero, world2, zero2] : {std::tuple{4, 3, 1, 0}, {1, 0, 3, 2}, {2, 1, 4, 3}, {3, 2, 2, 0}}) {
    RunConfig c = config(cat("cut", world, zero, world2, zero2), world);
    c.precision = "fp64";
    c.zero = zero;
    tiny_train(c, world, 7);
    RunConfig c2 = tiny_config(folder_.root(), cat("cut", world, zero, world2, zero2), world2);
    c2.precision = "fp64";
    c2.zero = zero2;
    c2.resume = "auto";
    const auto losses = tiny_train(c2, world2)[0].loss;
    ASSERT_EQ(losses.size(), 13u);
    for (size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(losses[i] / expected.loss[7 + i], 1, 1e-11);
  }
}

TEST_F(Resume, metrics_read_like_an_uninterrupted_run) {
  RunConfig c = config("run");
  c.epoch_save = 0;
  c.save_every = {.every = 5};
  tiny_train(c, 1, 9);
  fs::remove_all(c.proj_dir + "/step-00000009");  // as if the machine had died after step 9: step 5 is the newest
  c.resume = "auto";
  const auto second = tiny_train(c, 1)[0];
  EXPECT_EQ(second.steps.front(), 6);
  std::ifstream in(c.proj_dir + "/metrics.jsonl");
  int64_t expected = 0;
  for (std::string line; std::getline(in, line);) EXPECT_TRUE(line.starts_with(cat("{\"step\":", ++expected, ","))) << line;
  EXPECT_EQ(expected, 20);
}

TEST_F(Resume, a_folder_that_holds_a_run_is_refused_without_resume) {
  RunConfig c = config("run");
  c.max_steps = 2;
  tiny_train(c, 1);
  for (const std::string resume : {"", "none"}) {
    c.resume = resume;
    try {
      tiny_train(c, 1);
      ADD_FAILURE() << "was not refused";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::bad_input);
      EXPECT_NE(std::string(e.what()).find("already holds a run"), std::string::npos) << e.what();
    }
  }
}

TEST_F(Resume, another_batch_or_context_is_refused_naming_both) {
  RunConfig c = config("run");
  tiny_train(c, 1, 3);
  c.resume = "auto";
  for (auto change : {+[](RunConfig& x) { x.origins["global_bsz"] = "flag", x.global_bsz = 12; }, +[](RunConfig& x) { x.ctx_len = 16; },
                      +[](RunConfig& x) { x.epoch_steps = 4; }}) {
    RunConfig other = c;
    change(other);
    EXPECT_THROW(tiny_train(other, 1), Error);
  }
}

TEST_F(Resume, the_references_weights_only_restart) {
  RunConfig c = config("run");
  c.epoch_save = 1;
  tiny_train(c, 1);
  const std::string other = folder_.path("other");
  fs::create_directories(other);
  fs::copy_file(c.proj_dir + "/rwkv-1.pth", other + "/rwkv-1.pth");
  c.proj_dir = other;
  c.train_stage = 3;
  c.max_steps = 0;
  c.epoch_count = 3;
  c.warmup_steps = -1;
  const auto h = tiny_train(c, 1)[0];
  EXPECT_EQ(h.steps.front(), 17);  // two mini-epochs of eight steps were done
  EXPECT_EQ(h.steps.back(), 24);
  EXPECT_NEAR(h.lr[0] / h.lr[5], 0.01 / (0.01 + 0.99 * 0.5), 0.1);  // ten warm-up steps were added
}

TEST_F(Resume, stops_where_asked_and_says_why_it_would_not) {
  RunConfig c = config("tokens");
  c.max_steps = 0;
  c.my_exit_tokens = 24 * 17 * 6;
  EXPECT_EQ(tiny_train(c, 1)[0].steps.back(), 6);
  EXPECT_TRUE(fs::exists(c.proj_dir + "/rwkv-final.pth"));
  c = config("epochs");
  c.max_steps = 0;
  c.epoch_count = 2;
  EXPECT_EQ(tiny_train(c, 1)[0].steps.back(), 16);
  c = config("pass");
  c.max_steps = 0;
  const auto h = tiny_train(c, 1)[0];
  EXPECT_EQ(h.steps.back(), 347 / 24);  // 6000 tokens of 17: magic prime 347
}

TEST_F(Resume, a_non_finite_step_changes_nothing_and_is_counted) {
  RunConfig c = config("nan");
  c.lr_init = c.lr_final = 1e300;  // the first update throws the weights to infinity; the steps after it are skipped
  c.warmup_steps = 0;
  c.max_steps = 3;
  const auto h = tiny_train(c, 1)[0];
  EXPECT_EQ(h.steps.back(), 3);
  EXPECT_EQ(std::count_if(h.lines.begin(), h.lines.end(), [](const std::string& l) { return l.find("is skipped") != std::string::npos; }),
            2);
}

}  // namespace
}  // namespace rk
