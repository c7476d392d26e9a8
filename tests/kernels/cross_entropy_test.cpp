#include "kernels/cross_entropy/op.h"

#include "support/op_case.h"

namespace rk::test {
namespace {

struct Settings {
  double scale = 0.25, l2_scale = 0;
  bool want_gradient = true;
  Held logits = Held::sum;
};

std::vector<double> targets(int64_t R, int64_t V) {
  const Random random(3, 1);
  std::vector<double> x(static_cast<size_t>(R));
  for (size_t i = 0; i < x.size(); ++i) x[i] = i % 5 == 4 ? -100 : std::floor(random.uniform(i) * static_cast<double>(V));
  return x;
}

OpCase loss_case(int64_t R, int64_t V, const Settings& s) {
  OpCase c;
  if (s.want_gradient) {
    c.inout("logits", {R, V}, s.logits, random_values("logits", R * V, 3));
  } else {
    c.in("logits", {R, V}, s.logits, random_values("logits", R * V, 3));
  }
  c.in("targets", {R}, Held::i32, targets(R, V)).in("weights", {R}, Held::f32);
  c.inout("loss_sum", {1}, Held::f64, {0.75}).out("row_loss", {R}, Held::sum);
  c.call = [s](const Exec& ex, const Tensors& t) {
    run(ex, CrossEntropy{.logits = t("logits"),
                         .targets = t("targets"),
                         .weights = t("weights"),
                         .scale = s.scale,
                         .l2_scale = s.l2_scale,
                         .loss_scale = t("loss_scale"),
                         .want_gradient = s.want_gradient,
                         .loss_sum = t("loss_sum"),
                         .row_loss = t("row_loss")});
  };
  return c;
}

TEST(CrossEntropy, GradientIsTheFiniteDifference) {
  for (auto [R, V] : {std::pair<int64_t, int64_t>{1, 1}, {7, 65}, {10, 1100}, {65, 7}}) {
    LoadedCase plain(loss_case(R, V, {.want_gradient = false}), DType::f64);
    const std::vector<double> gradient = run_case(loss_case(R, V, {}), DType::f64).at("logits");
    const auto loss = [&] {
      plain.reset_sums();
      plain.run();
      return 0.25 * plain.memory("loss_sum").tensor().as<double>()[0];
    };
    expect_gradient({.name = "logits", .loss = loss, .x = plain.memory("logits").tensor().span<double>(), .dx = gradient});
  }
}

TEST(CrossEntropy, L2WrapPushesTheLowestMaximum) {
  OpCase with = loss_case(6, 5, {.l2_scale = 0.5}), without = loss_case(6, 5, {});
  for (OpCase* c : {&with, &without}) {
    std::vector<double>& z = c->slot("logits").values;
    const std::vector<double> tie{1, 2, 2, 0, 2}, negative{-3, -1, -2, -1, -5};
    std::copy(tie.begin(), tie.end(), z.begin());
    std::copy(negative.begin(), negative.end(), z.begin() + 20);  // row 4: not counted
  }
  const Values a = run_case(with, DType::f64), b = run_case(without, DType::f64);
  EXPECT_EQ(a.at("loss_sum"), b.at("loss_sum"));
  EXPECT_NEAR(a.at("logits")[1] - b.at("logits")[1], 0.5 * 2, 1e-14);
  EXPECT_EQ(a.at("logits")[2], b.at("logits")[2]);
  EXPECT_EQ(a.at("logits")[21], 0.5 * -1);
  EXPECT_EQ(a.at("logits")[20], 0);
}

TEST(CrossEntropy, RowsOfPaddingHaveNoGradient) {
  OpCase c = loss_case(6, 5, {.l2_scale = 0.5});
  c.slot("targets").values[4] = kNoRow;
  c.slot("targets").values[5] = -100;
  const auto check = [](const Values& r) {
    const std::vector<double>& z = r.at("logits");
    EXPECT_TRUE(std::all_of(z.begin() + 20, z.begin() + 25, [](double x) { return x == 0; }));
    EXPECT_EQ(std::count(z.begin() + 25, z.end(), 0.0), 4) << "an uncounted row has its L2 part";
  };
  check(run_case(c, DType::f64));
  if (has_gpu()) check(run_twice_on_gpu(c, DType::f32));
}

TEST(CrossEntropy, LossScaleMultipliesBothGradients) {
  const Settings s{.l2_scale = 0.5};
  OpCase scaled = loss_case(7, 9, s);
  scaled.in("loss_scale", {1}, Held::f64, {64});
  Values once = run_case(loss_case(7, 9, s), DType::f64);
  const Values more = run_case(scaled, DType::f64);
  for (double& x : once["logits"]) x *= 64;
  EXPECT_EQ(more, once);
}

TEST(CrossEntropy, SumsAreWeighted) {
  const OpCase c = loss_case(12, 9, {.want_gradient = false});
  const Values r = run_case(c, DType::f64);
  double sum = 0.75;
  OpCase copy = c;
  for (size_t i = 0; i < 12; ++i) {
    if (copy.slot("targets").values[i] < 0) {
      EXPECT_EQ(r.at("row_loss")[i], 0);
    }
    sum += copy.slot("weights").values[i] * r.at("row_loss")[i];
  }
  EXPECT_NEAR(r.at("loss_sum")[0], sum, 1e-12);
  OpCase unweighted = c.without("weights").without("row_loss");
  double plain = 0.75;
  for (double x : r.at("row_loss")) plain += x;
  EXPECT_NEAR(run_case(unweighted, DType::f64).at("loss_sum")[0], plain, 1e-12);
}

TEST(CrossEntropy, OtherTypesAndThreads) {
  const OpCase c = loss_case(30, 1500, {.l2_scale = 1e-3});
  expect_close(run_case(c, DType::f32), run_case(c, DType::f64), 1e-6, "f32");
  expect_same_bits_for_threads(c);
}

// Rows of every kind on a GPU: held in registers, in shared memory, read again; of whole 16 bytes or not.
TEST(CrossEntropy, RowsOfAnyLengthOnAGpu) {
  if (!has_gpu()) GTEST_SKIP() << "no GPU";
  for (auto [R, V] : {std::pair<int64_t, int64_t>{5, 1}, {3, 4100}, {7, 4096}, {2, 50277}, {3, 65536}, {2, 90000}, {19, 5000}}) {
    OpCase c = loss_case(R, V, {.l2_scale = 1e-3});
    for (size_t i : {size_t{2}, size_t{3}}) c.slot("logits").values[i % c.slot("logits").values.size()] = 11;  // twice the maximum
    const Values reference = run_case(c, DType::f64);
    const std::string what = "V = " + std::to_string(V);
    expect_close(run_twice_on_gpu(c, DType::f32), reference, 1e-5, what);
    OpCase narrow = loss_case(R, V, {.l2_scale = 1e-3, .logits = Held::model});
    narrow.slot("logits").values = c.slot("logits").values;
    expect_close(run_twice_on_gpu(narrow, DType::bf16), reference, 4e-3, what + " in bf16");
    expect_close(run_twice_on_gpu(narrow, DType::f16), reference, 1e-3, what + " in f16");
    const OpCase plain = loss_case(R, V, {.want_gradient = false});
    expect_close(run_twice_on_gpu(plain, DType::f32), run_case(plain, DType::f64), 1e-5, what + " without gradient");
  }
}

TEST(CrossEntropy, GpuAgreesOnTiesNanAndLossScale) {
  if (!has_gpu()) GTEST_SKIP() << "no GPU";
  OpCase c = loss_case(6, 5, {.l2_scale = 0.5});
  const std::vector<double> tie{1, 2, 2, 0, 2}, negative{-3, -1, -2, -1, -5}, far{1e4, -1e4, 0, 1, 2};
  std::copy(tie.begin(), tie.end(), c.slot("logits").values.begin());
  std::copy(far.begin(), far.end(), c.slot("logits").values.begin() + 5);
  std::copy(negative.begin(), negative.end(), c.slot("logits").values.begin() + 20);  // row 4: not counted
  c.in("loss_scale", {1}, Held::f64, {64});
  expect_close(run_twice_on_gpu(c, DType::f32), run_case(c, DType::f64), 1e-6, "ties");
  c.slot("logits").values[12] = NAN;
  const Values r = run_case(c, DType::f32, Device::cuda);
  EXPECT_TRUE(std::isnan(r.at("row_loss")[2]));
  EXPECT_TRUE(std::isnan(r.at("loss_sum")[0]));
  EXPECT_TRUE(std::isfinite(r.at("row_loss")[1]));
}

TEST(CrossEntropy, LargeLogitsAndNan) {
  OpCase c = loss_case(2, 5, {});
  c.slot("logits").values = {1e4, -1e4, 0, 1, 2, 0, NAN, 0, 1, 2};
  const Values r = run_case(c, DType::f32);
  EXPECT_TRUE(std::isfinite(r.at("row_loss")[0]));
  EXPECT_TRUE(std::isnan(r.at("row_loss")[1]));
  EXPECT_TRUE(std::isnan(r.at("loss_sum")[0]));
}

TEST(CrossEntropy, RefusesTargetsOutsideTheVocabulary) {
  OpCase c = loss_case(2, 5, {});
  c.slot("targets").values[0] = 5;
  EXPECT_THROW(run_case(c, DType::f32), Error);
  if (!has_gpu()) return;
  const Values r = run_case(c, DType::f32, Device::cuda);
  EXPECT_TRUE(std::isnan(r.at("row_loss")[0])) << "a GPU cannot throw";
}

}  // namespace
}  // namespace rk::test
