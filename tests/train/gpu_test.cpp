// Training runs on a GPU, where there is one (or an emulated one).
#include <gtest/gtest.h>

#include <cmath>

#include "support/place.h"
#include "support/tiny_run.h"
#include "train/checkpoint_folders.h"

namespace rk {
namespace {

// What a run told, in its order; its numbers; what was free on the GPU at each report.
struct GpuHistory : TinyHistory {
  std::vector<std::string> told;
  std::vector<std::string> weights;  // files; when they are complete is not said
  std::vector<size_t> free_bytes;
  void line(const std::string& text) override {
    TinyHistory::line(text);
    if (text.ends_with(".pth") && text.starts_with("saved")) weights.push_back(text.substr(text.rfind('/')));
  }
  void step(const StepReport& r) override {
    TinyHistory::step(r);
    told.push_back(cat("step ", r.step, " of ", r.last_step, ", epoch ", r.epoch, ", ", r.tokens, " tokens at ", r.offsets->at(0)));
    if (test::has_gpu()) free_bytes.push_back(test::test_gpu().free_bytes());
  }
  void validation(int64_t step, double x, int64_t tokens) override {
    TinyHistory::validation(step, x, tokens);
    told.push_back(cat("validation ", step, " of ", tokens));
  }
};

class OnGpu : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::has_gpu()) GTEST_SKIP() << "there is no GPU";
    write_tiny_data(folder_.path("tiny"), 600, 50);
  }
  RunConfig config(const std::string& run, const std::string& precision) {
    RunConfig c = tiny_config(folder_.root(), run);
    c.micro_bsz = 3;
    c.max_steps = 6;
    c.epoch_steps = 4;
    c.precision = precision;
    return c;
  }
  static GpuHistory train_on(Gpu* gpu, const RunConfig& config, int64_t stop_after = 0) {
    GpuHistory history;
    StopFlags flags;
    history.stop_after = stop_after;
    history.flags = &flags;
    train(config, *make_self_comm(gpu), {.threads = 1, .gpu = gpu}, history, flags);
    return history;
  }
  static GpuHistory train_on_gpu(const RunConfig& config, int64_t stop_after = 0) {
    return train_on(&test::test_gpu(), config, stop_after);
  }

  testing_support::TemporaryFolder folder_;
};

// A save is asked for while the run goes on.
struct SavedInBetween : TinyHistory {
  void step(const StepReport& r) override {
    TinyHistory::step(r);
    if (r.step == 2) flags->save_and_go_on = true;
  }
};

TEST_F(OnGpu, a_checkpoint_is_of_one_moment_though_updates_go_on) {
  for (const bool offload : {false, true})
    for (const bool copied : {false, true}) {
      RunConfig c = config(cat("whole", offload, copied), "bf16");
      c.zero = offload ? 2 : 0;
      c.offload_optimizer = offload;
      c.epoch_save = 0;
      c.max_steps = 9;
      if (copied) c.save_every = {.every = 100};  // for which memory is taken
      SavedInBetween whole;
      StopFlags flags;
      whole.flags = &flags;
      train(c, *make_self_comm(&test::test_gpu()), {.threads = 1, .gpu = &test::test_gpu()}, whole, flags);
      const std::vector<StepFolder> folders = step_folders(c.proj_dir);
      ASSERT_EQ(folders.size(), 2u);
      c.resume = folders.back().path;
      c.proj_dir = folder_.path(cat("rest", offload, copied));
      const GpuHistory rest = train_on_gpu(c);
      ASSERT_EQ(rest.steps.front(), folders.back().step + 1);
      EXPECT_EQ(rest.loss, std::vector<double>(whole.loss.begin() + folders.back().step, whole.loss.end())) << offload << copied;
    }
}

TEST_F(OnGpu, trains_like_the_cpu_and_tells_the_same) {
  write_tiny_data(folder_.path("held-out"), 100, 50);
  for (const auto& [precision, limit] : {std::pair{"fp32", 2e-5}, {"bf16", 0.02}}) {
    RunConfig c = config(cat(precision, "-cpu"), precision);
    c.val_file = folder_.path("held-out");
    c.val_every = 3;
    c.epoch_save = 1;
    const GpuHistory expected = train_on(nullptr, c);
    c.proj_dir = folder_.path(cat(precision, "-gpu"));
    const GpuHistory h = train_on_gpu(c);
    EXPECT_EQ(h.told, expected.told);
    EXPECT_EQ(h.weights, expected.weights);
    EXPECT_EQ(h.lr, expected.lr);
    ASSERT_EQ(h.loss.size(), 6u);
    for (size_t i = 0; i < h.loss.size(); ++i) {
      EXPECT_NEAR(h.loss[i], expected.loss[i], limit) << precision << " " << i;
      EXPECT_NEAR(h.grad_norm[i] / expected.grad_norm[i], 1, 10 * limit) << precision << " " << i;
    }
    for (size_t i = 0; i < 2; ++i) EXPECT_NEAR(h.validation_loss.at(i), expected.validation_loss.at(i), limit);
  }
}

TEST_F(OnGpu, a_resumed_run_has_the_same_bits) {
  for (const std::string precision : {"bf16", "fp16"}) {
    const RunConfig whole = config(precision + "-whole", precision);
    const GpuHistory expected = train_on_gpu(whole);
    RunConfig c = config(precision + "-cut", precision);
    const auto done = static_cast<size_t>(train_on_gpu(c, 2).steps.back());  // a step is told when the next one is on its way
    ASSERT_LT(done, 6u);
    c.resume = "auto";
    const GpuHistory rest = train_on_gpu(c);
    ASSERT_EQ(rest.loss.size(), 6 - done);
    for (size_t i = 0; i < rest.loss.size(); ++i) EXPECT_EQ(rest.loss[i], expected.loss[i + done]) << precision;
    EXPECT_EQ(weights_of(c.proj_dir + "/rwkv-final.pth"), weights_of(whole.proj_dir + "/rwkv-final.pth"));
  }
}

TEST_F(OnGpu, the_order_of_a_plan_and_sharding_change_no_loss) {
  const RunConfig plain = config("plain", "fp32");
  const GpuHistory expected = train_on_gpu(plain);
  for (int zero : {2, 3}) {
    RunConfig c = config(cat("z", zero), "fp32");
    c.zero = zero;
    c.grad_cp = true;
    c.chunk_ctx = 8;
    c.accumulate = 3;
    c.micro_bsz = 1;
    c.max_steps = 2;
    const GpuHistory h = train_on_gpu(c);
    ASSERT_EQ(h.loss.size(), 2u);
    for (size_t i = 0; i < 2; ++i) EXPECT_NEAR(h.loss[i], expected.loss[i], 2e-5) << zero;
  }
}

// What of a run lives in host memory.
struct Offload {
  int zero;
  bool params;
};
constexpr Offload kOffloads[] = {{2, false}, {3, false}, {3, true}};

TEST_F(OnGpu, offloading_changes_no_loss) {
  for (const std::string precision : {"fp32", "fp16"}) {
    const GpuHistory expected = train_on_gpu(config(precision + "-plain", precision));
    for (const Offload& o : kOffloads)
      for (int64_t accumulate : {1, 3}) {
        if (accumulate > 1 && precision != "fp32") continue;
        RunConfig c = config(cat(precision, "-", o.zero, o.params, accumulate), precision);
        c.zero = o.zero;
        c.offload_optimizer = true;
        c.offload_params = o.params;
        c.accumulate = accumulate;
        c.micro_bsz /= accumulate;
        const GpuHistory h = train_on_gpu(c);
        ASSERT_EQ(h.loss.size(), expected.loss.size());
        // Gradients of parts have roundings of their own.
        const double limit = accumulate == 1 ? 1e-6 : 2e-5;
        for (size_t i = 0; i < h.loss.size(); ++i) {
          if (!std::isfinite(expected.loss[i])) continue;  // fp16, while its scale comes down
          EXPECT_NEAR(h.loss[i] / expected.loss[i], 1, limit)
              << precision << " ZeRO-" << o.zero << o.params << " x " << accumulate << " " << i;
        }
      }
  }
}

TEST_F(OnGpu, an_offloaded_run_is_saved_and_resumed) {
  for (const Offload& o : kOffloads) {
    RunConfig c = config(cat("whole", o.zero, o.params), "bf16");
    c.zero = o.zero;
    c.offload_optimizer = true;
    c.offload_params = o.params;
    const GpuHistory whole = train_on_gpu(c);
    c.proj_dir = folder_.path(cat("parts", o.zero, o.params));
    c.save_every = {.every = 2};
    const auto done = static_cast<size_t>(train_on_gpu(c, 2).steps.back());
    ASSERT_LT(done, 6u);
    c.resume = "auto";
    const GpuHistory rest = train_on_gpu(c);
    ASSERT_EQ(rest.loss.size(), 6 - done);
    for (size_t i = 0; i < rest.loss.size(); ++i) EXPECT_EQ(rest.loss[i], whole.loss[i + done]) << o.zero << o.params;
    EXPECT_EQ(weights_of(c.proj_dir + "/rwkv-final.pth"), weights_of(folder_.path(cat("whole", o.zero, o.params, "/rwkv-final.pth"))));
  }
}

TEST_F(OnGpu, a_loss_scale_that_is_too_large_is_halved) {
  RunConfig c = config("scaled", "fp16");
  c.l2wrap = 1e9;  // gradients of logits beyond what half precision holds
  const auto halvings = [&](int64_t steps) {
    c.max_steps = steps;
    std::vector<std::string> found;
    for (const std::string& line : train_on_gpu(c).lines)
      if (const auto at = line.find("the loss scale goes from "); at != std::string::npos) found.push_back(line.substr(at + 25));
    return found;
  };
  EXPECT_EQ(halvings(2), (std::vector<std::string>{"65536 to 32768", "32768 to 16384"}));
  c.resume = "auto";
  EXPECT_EQ(halvings(3), (std::vector<std::string>{"16384 to 8192"}));
}

TEST_F(OnGpu, nothing_is_allocated_after_the_first_step) {
  const GpuHistory h = train_on_gpu(config("steady", "bf16"));
  ASSERT_GE(h.free_bytes.size(), 3u);
  for (size_t i = 2; i < h.free_bytes.size(); ++i) EXPECT_EQ(h.free_bytes[i], h.free_bytes[1]);
}

TEST_F(OnGpu, a_run_that_does_not_fit_is_refused_before_memory_is_taken) {
  RunConfig c = config("large", "bf16");
  c.micro_bsz = int64_t{1} << 24;
  const size_t before = test::test_gpu().free_bytes();
  try {
    train_on_gpu(c);
    ADD_FAILURE() << "was not refused";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::bad_input);
    EXPECT_NE(std::string(e.what()).find("--micro_bsz"), std::string::npos) << e.what();
  }
  EXPECT_EQ(test::test_gpu().free_bytes(), before);
}

}  // namespace
}  // namespace rk
