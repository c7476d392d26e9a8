// The same run, whatever the ranks, the ZeRO stage, the accumulation, the checkpointing and the segments.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "support/tiny_run.h"

namespace rk {
namespace {

class Equality : public testing::Test {
 protected:
  void SetUp() override { write_tiny_data(folder_.path("tiny"), 6000, 50); }
  RunConfig config(const std::string& run, int world = 1, int64_t accumulate = 1) {
    return tiny_config(folder_.root(), run, world, accumulate);
  }

  // Largest relative difference of the losses.
  static double apart(const std::vector<double>& a, const std::vector<double>& b) {
    EXPECT_EQ(a.size(), b.size());
    double worst = 0;
    for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]) / std::abs(b[i]));
    return worst;
  }

  // ||difference|| / ||update|| of each tensor, sorted.
  static std::vector<double> update_metric(const std::string& run, const std::string& reference) {
    const auto now = weights_of(run + "/rwkv-final.pth"), then = weights_of(reference + "/rwkv-final.pth"),
               before = weights_of(reference + "/rwkv-init.pth");
    std::vector<double> metrics;
    for (const auto& [name, x] : then) {
      double difference = 0, update = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        difference += std::pow(now.at(name)[i] - x[i], 2);
        update += std::pow(x[i] - before.at(name)[i], 2);
      }
      metrics.push_back(update > 0 ? std::sqrt(difference / update) : std::sqrt(difference));
    }
    std::sort(metrics.begin(), metrics.end());
    return metrics;
  }

  testing_support::TemporaryFolder folder_;
};

TEST_F(Equality, ranks_stages_accumulation_and_checkpointing) {
  for (const std::string precision : {"fp64", "fp32"}) {
    // Limits of docs/numerics.md: double shows exactness, fp32 what rounding leaves.
    const bool exact = precision == "fp64";
    const double loss_limit = exact ? 1e-11 : 1e-6, weight_limit = exact ? 1e-11 : 1.5e-3, median_limit = exact ? 1e-11 : 1e-4;
    RunConfig reference = config(precision + "-reference");
    reference.precision = precision;
    const auto expected = tiny_train(reference, 1)[0];
    ASSERT_EQ(expected.loss.size(), 20u);
    EXPECT_LT(expected.loss.back(), expected.loss.front());
    for (int world : {1, 2, 3, 4})
      for (int zero : {0, 1, 2, 3})
        for (int64_t accumulate : {1, 2})
          for (bool grad_cp : {false, true}) {
            const std::string run = cat(precision, "-w", world, "-z", zero, "-a", accumulate, "-cp", grad_cp);
            RunConfig c = config(run, world, accumulate);
            c.precision = precision;
            c.zero = zero;
            c.grad_cp = grad_cp;
            const auto ranks = tiny_train(c, world);
            for (const auto& r : ranks) EXPECT_EQ(r.loss, ranks[0].loss) << run;
            EXPECT_LE(apart(ranks[0].loss, expected.loss), loss_limit) << run;
            EXPECT_LE(apart(ranks[0].grad_norm, expected.grad_norm), exact ? 1e-11 : 1e-4) << run;
            const auto metrics = update_metric(c.proj_dir, reference.proj_dir);
            EXPECT_LE(metrics.back(), weight_limit) << run;
            EXPECT_LE(metrics[metrics.size() / 2], median_limit) << run;
          }
  }
}

TEST_F(Equality, checkpointing_changes_no_bit) {
  const auto plain = tiny_train(config("plain"), 1)[0];
  RunConfig c = config("cp");
  c.grad_cp = true;
  EXPECT_EQ(tiny_train(c, 1)[0].loss, plain.loss);
  EXPECT_EQ(weights_of(c.proj_dir + "/rwkv-final.pth"), weights_of(folder_.path("plain/rwkv-final.pth")));
}

TEST_F(Equality, segments_of_time_with_carried_state) {
  RunConfig reference = config("whole");
  reference.precision = "fp64";
  const auto expected = tiny_train(reference, 1)[0];
  for (const std::string order : {"layer", "segment"})
    for (int64_t chunk : {1, 5, 16, 17})
      for (int zero : {0, 2, 3})
        for (bool grad_cp : {false, true}) {
          RunConfig c = config(cat(order, chunk, "-", zero, grad_cp), 2);
          c.precision = "fp64";
          c.plan_order = order;
          c.chunk_ctx = chunk;
          c.zero = zero;
          c.grad_cp = grad_cp;
          c.max_steps = 6;
          const auto losses = tiny_train(c, 2)[0].loss;
          ASSERT_EQ(losses.size(), 6u);
          for (size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(losses[i] / expected.loss[i], 1, 1e-11) << order << chunk << " " << zero;
        }
}

TEST_F(Equality, truncated_gradients_differ_and_both_orders_agree_on_them) {
  std::vector<std::vector<double>> losses;
  for (const std::string order : {"layer", "segment"}) {
    RunConfig c = config("truncated-" + order);
    c.precision = "fp64";
    c.plan_order = order;
    c.chunk_ctx = 5;
    c.bptt = "truncated";
    losses.push_back(tiny_train(c, 1)[0].loss);
  }
  EXPECT_LE(apart(losses[0], losses[1]), 1e-11);
  RunConfig full = config("full");
  full.precision = "fp64";
  EXPECT_GT(apart(losses[0], tiny_train(full, 1)[0].loss), 1e-9);
}

TEST_F(Equality, bf16_stays_close_to_fp32) {
  const auto expected = tiny_train(config("fp32"), 1)[0];
  for (int zero : {0, 1, 2, 3}) {
    RunConfig c = config(cat("bf16-", zero), 2);
    c.precision = "bf16";
    c.zero = zero;
    const auto losses = tiny_train(c, 2)[0].loss;
    for (size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(losses[i], expected.loss[i], 0.02);
  }
}

TEST_F(Equality, validation_loss_is_the_same_for_any_world) {
  std::vector<double> reference;
  write_tiny_data(folder_.path("held-out"), 777, 50);
  for (int world : {1, 2, 3, 4}) {
    RunConfig c = config(cat("val", world), world);
    c.val_file = folder_.path("held-out");
    c.val_every = 3;
    c.max_steps = 7;
    const auto h = tiny_train(c, world)[0];
    ASSERT_EQ(h.validation_loss.size(), 3u);  // after steps 3, 6 and at the end
    if (reference.empty()) reference = h.validation_loss;
    EXPECT_LE(apart(h.validation_loss, reference), 1e-6);
  }
}

}  // namespace
}  // namespace rk
