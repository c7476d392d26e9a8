#include "kernels/adamw/op.h"

#include "kernels/step_control/op.h"
#include "support/op_case.h"

namespace rk::test {
namespace {

// Three groups; the middle one is small and lies inside a row of elements that is moved at once.
struct Settings {
  double weight_decay = 0.1;
  int64_t t = 3;
  double decay = 1;
  bool apply = true;
};

std::vector<double> decision_of(const Settings& s) {
  std::vector<double> d(kStepDecisions, 0.0);
  d[kGradScale] = s.apply ? 0.5 : 0;
  d[kApply] = s.apply ? 1 : 0;
  d[kBias1] = 1 / (1 - std::pow(0.9, static_cast<double>(s.t)));
  d[kBias2] = 1 / (1 - std::pow(0.95, static_cast<double>(s.t)));
  return d;
}

constexpr double kScales[] = {1, 2, 0.5};

// Group of element i of n.
size_t group_of(int64_t i, int64_t n) { return i < n / 3 ? 0 : i < n / 3 + 2 ? 1 : 2; }

OpCase adamw_case(int64_t n, const Settings& s) {
  OpCase c;
  std::vector<double> v = random_values("v", n);
  for (double& x : v) x = x * x;
  c.inout("p", {n}, Held::sum).in("g", {n}, Held::sum).inout("m", {n}, Held::sum);
  c.inout("v", {n}, Held::f64, v).inout("w", {n});
  c.slot("v").held = Held::sum;
  c.in("ends", {3}, Held::i64, {static_cast<double>(n / 3), static_cast<double>(n / 3 + 2), static_cast<double>(n)});
  c.in("lr_scale", {3}, Held::f64, {kScales[0], kScales[1], kScales[2]});
  c.in("weight_decay", {3}, Held::f64, {s.weight_decay, 0, s.weight_decay});
  c.in("decision", {kStepDecisions}, Held::f64, decision_of(s));
  c.call = [decay = s.decay](const Exec& ex, const Tensors& t) {
    run(ex, AdamW{.p = t("p"),
                  .g = t("g"),
                  .m = t("m"),
                  .v = t("v"),
                  .w = t("w"),
                  .ends = t("ends"),
                  .lr_scale = t("lr_scale"),
                  .weight_decay = t("weight_decay"),
                  .decision = t("decision"),
                  .lr = 1e-2,
                  .beta1 = 0.9,
                  .beta2 = 0.95,
                  .eps = 1e-18,
                  .decay = decay});
  };
  return c;
}

TEST(AdamW, IsTheFormula) {
  for (const Settings& s : {Settings{}, {.weight_decay = 0, .t = 1}, {.decay = 0.3}}) {
    OpCase c = adamw_case(65, s);
    const Values r = run_case(c, DType::f64);
    for (int64_t e = 0; e < 65; ++e) {
      const auto i = static_cast<size_t>(e);
      const auto at = [&](const char* name) { return c.slot(name).values[i]; };
      const double g = 0.5 * at("g"), m = 0.9 * at("m") + 0.1 * g, v = 0.95 * at("v") + 0.05 * g * g, t = static_cast<double>(s.t);
      const double u = m / (1 - std::pow(0.9, t)) / (std::sqrt(v / (1 - std::pow(0.95, t))) + 1e-18);
      const size_t group = group_of(e, 65);
      EXPECT_NEAR(r.at("m")[i], m, 1e-15);
      EXPECT_NEAR(r.at("v")[i], v, 1e-15 * (1 + v));
      EXPECT_NEAR(r.at("p")[i], at("p") - 1e-2 * kScales[group] * (u + (group == 1 ? 0 : s.decay * s.weight_decay) * at("p")), 1e-14);
      EXPECT_EQ(r.at("w")[i], r.at("p")[i]);
    }
  }
}

TEST(AdamW, OtherTypesAndThreads) {
  for (int64_t n : {1000, 1003, 12292}) expect_close_to_double(adamw_case(n, {}));
  expect_same_bits_for_threads(adamw_case(50001, {}));
}

TEST(AdamW, WeightsMayBeAbsentOrTheParameters) {
  const OpCase c = adamw_case(65, {});
  EXPECT_EQ(run_case(c.without("w"), DType::f32).at("p"), run_case(c, DType::f32).at("p"));
  EXPECT_EQ(run_case(c.without("w").out("w", {65}, Held::sum, "p"), DType::f32).at("p"), run_case(c, DType::f32).at("p"));
}

// A run whose optimizer is in host memory is the same run.
TEST(AdamW, AGpuRoundsAsTheCpu) {
  if (!has_gpu()) GTEST_SKIP() << "without a GPU there is nothing to compare";
  for (int64_t n : {1003, 12292}) {
    for (DType dtype : {DType::f32, DType::bf16, DType::f16})
      EXPECT_EQ(run_case(adamw_case(n, {}), dtype, Device::cuda), run_case(adamw_case(n, {}), dtype)) << name_of(dtype) << ", n = " << n;
  }
}

TEST(AdamW, NonFiniteStepChangesNothing) {
  OpCase c = adamw_case(65, {.apply = false});
  const Values r = run_case(c, DType::f64);
  for (const char* name : {"p", "m", "v", "w"}) EXPECT_EQ(r.at(name), c.slot(name).values) << name;
}

TEST(AdamW, ZeroStaysZero) {
  OpCase c = adamw_case(9, {.weight_decay = 0});
  for (const char* name : {"g", "m", "v"}) c.slot(name).values.assign(9, 0.0);
  EXPECT_EQ(run_case(c, DType::f32).at("p"), c.slot("p").values);
}

}  // namespace
}  // namespace rk::test
