#include "kernels/adamw/op.h"

#include "support/op_case.h"

namespace rk::test {
namespace {

struct Settings {
  double weight_decay = 0.1;
  int64_t t = 3;
  bool apply = true;
};

OpCase adamw_case(int64_t n, const Settings& s) {
  OpCase c;
  c.on_gpu = false;
  std::vector<double> v = random_values("v", n);
  for (double& x : v) x = x * x;
  c.inout("p", {n}, Held::sum).in("g", {n}, Held::sum).inout("m", {n}, Held::sum);
  c.inout("v", {n}, Held::f64, v).inout("w", {n});
  c.slot("v").held = Held::sum;
  c.call = [s](const Exec& ex, const Tensors& t) {
    run(ex, AdamW{.p = t("p"),
                  .g = t("g"),
                  .m = t("m"),
                  .v = t("v"),
                  .w = t("w"),
                  .lr = 1e-2,
                  .beta1 = 0.9,
                  .beta2 = 0.95,
                  .eps = 1e-18,
                  .weight_decay = s.weight_decay,
                  .grad_scale = 0.5,
                  .t = s.t,
                  .apply = s.apply});
  };
  return c;
}

TEST(AdamW, IsTheFormula) {
  for (const Settings& s : {Settings{}, {.weight_decay = 0, .t = 1}}) {
    OpCase c = adamw_case(65, s);
    const Values r = run_case(c, DType::f64);
    for (size_t i = 0; i < 65; ++i) {
      const auto at = [&](const char* name) { return c.slot(name).values[i]; };
      const double g = 0.5 * at("g"), m = 0.9 * at("m") + 0.1 * g, v = 0.95 * at("v") + 0.05 * g * g, t = static_cast<double>(s.t);
      const double u = m / (1 - std::pow(0.9, t)) / (std::sqrt(v / (1 - std::pow(0.95, t))) + 1e-18);
      EXPECT_NEAR(r.at("m")[i], m, 1e-15);
      EXPECT_NEAR(r.at("v")[i], v, 1e-15 * (1 + v));
      EXPECT_NEAR(r.at("p")[i], at("p") - 1e-2 * (u + s.weight_decay * at("p")), 1e-14);
      EXPECT_EQ(r.at("w")[i], r.at("p")[i]);
    }
  }
}

TEST(AdamW, OtherTypesAndThreads) {
  expect_close_to_double(adamw_case(1000, {}));
  expect_same_bits_for_threads(adamw_case(50001, {}));
}

TEST(AdamW, WeightsMayBeAbsentOrTheParameters) {
  const OpCase c = adamw_case(65, {});
  EXPECT_EQ(run_case(c.without("w"), DType::f32).at("p"), run_case(c, DType::f32).at("p"));
  EXPECT_EQ(run_case(c.without("w").out("w", {65}, Held::sum, "p"), DType::f32).at("p"), run_case(c, DType::f32).at("p"));
}

TEST(AdamW, NonFiniteStepChangesNothing) {
  OpCase c = adamw_case(65, {.apply = false});
  const Values r = run_case(c, DType::f64);
  for (const char* name : {"p", "m", "v", "w"}) EXPECT_EQ(r.at(name), c.slot(name).values) << name;
}

TEST(AdamW, ZeroStaysZero) {
  OpCase c = adamw_case(3, {.weight_decay = 0});
  for (const char* name : {"g", "m", "v"}) c.slot(name).values.assign(3, 0.0);
  EXPECT_EQ(run_case(c, DType::f32).at("p"), c.slot("p").values);
}

}  // namespace
}  // namespace rk::test
