// Backward of WKV-7 by chunks on a GPU, where numbers are hard on 16-bit products: decays from the slowest to the fastest, repeated tokens,
// magnitudes far from one, nothing at all, and what is not a number.
#include "kernels/wkv7/op.h"
#include "support/op_case.h"

namespace rk::test {
namespace {

constexpr int64_t N = 64;
const char* const kGradients[] = {"dr", "dw", "dk", "dv", "da", "db"};

struct Regime {
  const char* name;
  double w_mean, w_spread;
  int token_types = 0;  // > 0: tokens are of a few types with almost equal keys, and alpha is near 1
  double size = 1, dy_size = 1;
};

// As a model prepares them: kappa is normalised, a = -kappa, b = kappa alpha, k = k0 (1 + (alpha - 1) / 2).
OpCase backward_case(const Regime& g, int64_t T) {
  const int64_t H = 2, n = T * H * N;
  const Shape x{1, T, H, N}, state{1, H, N, N};
  const auto rounded = [](double y) { return static_cast<double>(bf16(static_cast<float>(y))); };
  std::vector<double> r = random_values("r", n), key = random_values("k", n), v = random_values("v", n), alpha = random_values("alpha", n);
  std::vector<double> k(r.size()), a(r.size()), b(r.size());
  for (int64_t row = 0; row < T * H; ++row) {
    const auto o = static_cast<size_t>(row * N), type = static_cast<size_t>(row / H * 7 % 11 % 6 * N);
    double norm = 0;
    for (size_t j = 0; j < N; ++j) {
      if (g.token_types > 0 && row / H >= g.token_types) {
        for (std::vector<double>* y : {&r, &key, &v}) (*y)[o + j] = (*y)[type + j] + 0.02 * (*y)[o + j];
      }
      norm += key[o + j] * key[o + j];
    }
    for (size_t j = 0; j < N; ++j) {
      const double gate = g.token_types > 0 ? std::min(1.0, 0.95 + 0.01 * alpha[o + j]) : 1 / (1 + std::exp(-alpha[o + j]));
      const double kappa = key[o + j] / std::sqrt(norm);
      a[o + j] = rounded(-kappa);
      b[o + j] = rounded(kappa * gate);
      k[o + j] = rounded(g.size * key[o + j] * (1 + (gate - 1) / 2));
      r[o + j] = rounded(g.size * r[o + j]);
      v[o + j] = rounded(g.size * v[o + j]);
    }
  }
  OpCase c;
  c.in("r", x, Held::model, r).in("w", x, Held::model, random_values("w", n, g.w_spread, g.w_mean)).in("k", x, Held::model, k);
  c.in("v", x, Held::model, v).in("a", x, Held::model, a).in("b", x, Held::model, b);
  c.in("dy", x, Held::model, random_values("dy", n, g.dy_size));
  c.in("state_in", state, Held::sum, random_values("state_in", state.numel(), 0.3 * g.size * g.size));
  c.in("dstate_out", state, Held::sum, random_values("dstate_out", state.numel(), 0.3 * g.dy_size));
  for (const char* name : kGradients) c.out(name, x);
  c.out("dstate_in", state, Held::sum);
  c.call = [](const Exec& ex, const Tensors& t) {
    const ArenaScope scope(*ex.scratch);
    const Tensor saved = take_wkv7_saved(ex, *ex.scratch, t("r").dtype, t("r").shape);
    const Tensor y = ex.scratch->take(t("r").dtype, t("r").shape);
    run(ex, Wkv7Forward{.r = t("r"),
                        .w = t("w"),
                        .k = t("k"),
                        .v = t("v"),
                        .a = t("a"),
                        .b = t("b"),
                        .y = y,
                        .state_in = t("state_in"),
                        .state_out = {},
                        .saved_states = saved});
    run(ex, Wkv7Backward{.r = t("r"),
                         .w = t("w"),
                         .k = t("k"),
                         .v = t("v"),
                         .a = t("a"),
                         .b = t("b"),
                         .saved_states = saved,
                         .dy = t("dy"),
                         .dstate_out = t("dstate_out"),
                         .dr = t("dr"),
                         .dw = t("dw"),
                         .dk = t("dk"),
                         .dv = t("dv"),
                         .da = t("da"),
                         .db = t("db"),
                         .dstate_in = t("dstate_in"),
                         .dr_more = t("dr_more"),
                         .dk_more = t("dk_more"),
                         .dv_more = t("dv_more")});
  };
  return c;
}

class Wkv7BackwardGpu : public testing::Test {
 protected:
  void SetUp() override {
    if (!has_gpu()) GTEST_SKIP() << "no GPU";
  }
};

// 1.7e-3 is the rounding of results to bf16 alone.
TEST_F(Wkv7BackwardGpu, Regimes) {
  const Regime regimes[] = {{"init", -4, 1.5},       {"slow", -8, 0.5},          {"flat", -8.7, 0},
                            {"fast", 4, 1},          {"fastest", 20, 0},         {"repeated tokens", -4, 1, 6},
                            {"large", -2, 1, 0, 40}, {"tiny", -2, 1, 0, 1, 1e-7}};
  for (const Regime& g : regimes) {
    const OpCase c = backward_case(g, 75);
    const Values got = run_twice_on_gpu(c, DType::bf16), expected = run_case(c, DType::f64);
    for (const auto& [name, x] : expected) {
      const double difference = relative_difference(got.at(name), x);
      EXPECT_LE(difference, name == "dstate_in" ? 6e-4 : g.token_types > 0 ? 2.5e-3 : 2.1e-3) << g.name << ": " << name;
    }
  }
}

TEST_F(Wkv7BackwardGpu, AddsToGradientsBeforeRounding) {
  const OpCase plain = backward_case({"init", -4, 1.5}, 45);
  OpCase more = plain;
  for (const char* name : {"dr_more", "dk_more", "dv_more"}) more.in(name, plain.slots[0].shape);
  expect_close(run_twice_on_gpu(more, DType::bf16), run_case(more, DType::f64), 2.1e-3, "bf16");
  expect_alias(more, "dr", "dr_more");
}

// Chunks whose gradient is nothing but what comes back through the state, and nothing at all.
TEST_F(Wkv7BackwardGpu, GradientOfTheLastTokenOnly) {
  const Regime g{"init", -4, 1.5};
  OpCase c = backward_case(g, 100);
  std::vector<double>& dy = c.slot("dy").values;
  std::fill(dy.begin(), dy.end() - 2 * N, 0.0);
  for (double& x : c.slot("dstate_out").values) x = 0;
  expect_close(run_twice_on_gpu(c, DType::bf16), run_case(c, DType::f64), 2.3e-3, "last token");
  std::fill(dy.begin(), dy.end(), 0.0);
  for (const auto& [name, values] : run_twice_on_gpu(c, DType::bf16)) {
    for (double x : values) ASSERT_EQ(x, 0.0) << name;
  }
}

// A head with a number that is not finite says so in all its gradients before that token; the other head does not notice.
TEST_F(Wkv7BackwardGpu, NotFiniteStaysVisible) {
  for (const double bad : {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    for (const char* input : {"dy", "k", "a"}) {
      OpCase c = backward_case({"init", -4, 1.5}, 50);
      c.slot(input).values[static_cast<size_t>((40 * 2 + 1) * N + 5)] = bad;
      const Values got = run_twice_on_gpu(c, DType::bf16);
      for (const char* name : kGradients) {
        if (cat("d", input) == name) continue;  // some gradients do not depend on their own input
        bool first_head = true, second_head = true;
        for (size_t i = 0; i < got.at(name).size(); ++i) {
          const bool finite = std::isfinite(got.at(name)[i]);
          if (i / N % 2 == 0) first_head = first_head && finite;
          if (i / N % 2 == 1 && i / (2 * N) >= 32) second_head = second_head && finite;
        }
        EXPECT_TRUE(first_head) << input << " " << name;
        EXPECT_FALSE(second_head) << input << " " << name;
      }
    }
  }
}

}  // namespace
}  // namespace rk::test
