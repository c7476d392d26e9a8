#include "kernels/step_control/op.h"

#include "support/op_case.h"

namespace rk::test {
namespace {

struct Settings {
  double grad_clip = 1, beta1 = 0.9, beta2 = 0.99;
  int64_t growth_interval = 0;
};

OpCase step_case(const Settings& s, double squares, double loss, std::vector<double> state) {
  OpCase c;
  c.in("squares", {1}, Held::f64, {squares}).in("loss", {1}, Held::f64, {loss});
  c.inout("state", {kStepStates}, Held::f64, std::move(state)).out("decision", {kStepDecisions}, Held::f64);
  c.call = [s](const Exec& ex, const Tensors& t) {
    run(ex, StepControl{.squares = t("squares"),
                        .loss = t("loss"),
                        .state = t("state"),
                        .decision = t("decision"),
                        .grad_clip = s.grad_clip,
                        .beta1 = s.beta1,
                        .beta2 = s.beta2,
                        .growth_interval = s.growth_interval});
  };
  return c;
}

// What the CPU decides; a GPU decides the same but for the last bits of powers.
Values step(const Settings& s, double squares, double loss, std::vector<double> state) {
  const OpCase c = step_case(s, squares, loss, std::move(state));
  const Values r = run_case(c, DType::f32);
  if (!has_gpu()) return r;
  const Values on_gpu = run_twice_on_gpu(c, DType::f32);
  EXPECT_EQ(on_gpu.at("state"), r.at("state"));
  for (size_t i = 0; i < kStepDecisions; ++i) {
    const double x = r.at("decision")[i], y = on_gpu.at("decision")[i];
    EXPECT_TRUE(std::fabs(x - y) <= 1e-13 * std::fabs(x) || (x != x && y != y) || x == y) << i << ": " << x << " and " << y;
  }
  return r;
}

TEST(StepControl, ClipsLongGradients) {
  const Values r = step({.grad_clip = 0.5}, 9.0, 2.0, {4, 1, 0});
  const std::vector<double>& d = r.at("decision");
  EXPECT_DOUBLE_EQ(d[kNorm], 3);
  EXPECT_DOUBLE_EQ(d[kGradScale], 1 / ((3 + 1e-6) / 0.5));
  EXPECT_EQ(d[kApply], 1);
  EXPECT_DOUBLE_EQ(d[kBias1], 1 / (1 - std::pow(0.9, 5)));
  EXPECT_DOUBLE_EQ(d[kBias2], 1 / (1 - std::pow(0.99, 5)));
  EXPECT_EQ(d[kAppliedScale], 1);
  EXPECT_EQ(r.at("state"), (std::vector<double>{5, 1, 0}));
}

TEST(StepControl, LeavesShortGradientsAndThoseWithoutALimit) {
  EXPECT_EQ(step({.grad_clip = 5}, 9.0, 2.0, {0, 1, 0}).at("decision")[kGradScale], 1);
  EXPECT_EQ(step({.grad_clip = 0}, 9e12, 2.0, {0, 1, 0}).at("decision")[kGradScale], 1);
}

TEST(StepControl, TakesTheLossScaleOut) {
  const Values r = step({.grad_clip = 1}, 64.0 * 64.0 * 4.0, 2.0, {0, 64, 0});
  EXPECT_DOUBLE_EQ(r.at("decision")[kNorm], 2);
  EXPECT_DOUBLE_EQ(r.at("decision")[kGradScale], 1 / ((2 + 1e-6) * 64));
  EXPECT_EQ(r.at("decision")[kAppliedScale], 64);
}

TEST(StepControl, AStepThatIsNotFiniteChangesNothing) {
  for (auto [squares, loss] : {std::pair{INFINITY, 1.0}, {NAN, 1.0}, {1.0, INFINITY}, {1.0, NAN}}) {
    const Values r = step({}, squares, loss, {7, 1, 0});
    EXPECT_EQ(r.at("decision")[kApply], 0);
    EXPECT_EQ(r.at("decision")[kGradScale], 0);
    EXPECT_EQ(r.at("state"), (std::vector<double>{7, 1, 0}));
  }
  const Values r = step({}, 1.0, NAN, {0, 1, 0});
  for (double x : r.at("decision")) EXPECT_TRUE(std::isfinite(x)) << "also before the first update";
}

TEST(StepControl, LossScaleFollowsItsSchedule) {
  const Settings s{.growth_interval = 3};
  std::vector<double> state{0, 4, 0};
  const auto next = [&](double loss) {
    const Values r = step(s, 1.0, loss, state);
    state = r.at("state");
  };
  for (double scale : {4.0, 4.0, 8.0, 8.0}) {
    next(1);
    EXPECT_EQ(state[kLossScale], scale);
  }
  EXPECT_EQ(state[kGoodSteps], 1);
  for (double scale : {4.0, 2.0, 1.0, 1.0}) {
    next(NAN);
    EXPECT_EQ(state[kLossScale], scale);
    EXPECT_EQ(state[kGoodSteps], 0);
  }
  EXPECT_EQ(state[kAdamT], 4);
}

}  // namespace
}  // namespace rk::test
