// Gradients of whole models against finite differences in double.
#include <gtest/gtest.h>

#include "support/tiny_model.h"

namespace rk::test {
namespace {

// loss + <dfinal, final state>: what the gradients belong to.
class Objective {
 public:
  Objective(int64_t n_layer, int64_t T, bool layer0_v = true) {
    ModelSpec spec = tiny_spec(DType::f64, n_layer);
    spec.layer0_v = layer0_v;
    runner_ = std::make_unique<ModelRunner>(family_of("x070").make(spec));
    for (const Param& p : runner_->model().params.all()) weights_[p.name] = lively_values(p);
    for (const auto& [name, values] : weights_) runner_->set(name, values);
    in_ = random_input(runner_->model(), 2, T);
    in_.initial_state = random_states(runner_->model(), 2, 100);
    in_.dfinal_state = random_states(runner_->model(), 2, 200, 0.05);
    in_.want_dinitial = true;
  }
  double value() {
    const RunOutput out = runner_->forward(in_);
    double sum = out.loss;
    for (const auto& [name, d] : in_.dfinal_state) sum += dot(d, out.final_state.at(name));
    return sum;
  }
  RunOutput gradients() { return runner_->train(in_); }

  // The derivative along `direction` of the weights (or of an initial state) named so, by differences of fourth order.
  double along(const std::string& name, const std::vector<double>& direction) {
    constexpr double kStep = 3e-6;
    const auto at = [&](double step) {
      move(name, direction, step);
      const double moved = value();
      move(name, direction, -step);
      return moved;
    };
    return (8 * (at(kStep) - at(-kStep)) - (at(2 * kStep) - at(-2 * kStep))) / (12 * kStep);
  }
  const Values& weights() const { return weights_; }
  const RunInput& input() const { return in_; }

 private:
  void move(const std::string& name, const std::vector<double>& direction, double step) {
    const bool weight = weights_.count(name) > 0;
    std::vector<double>& x = weight ? weights_.at(name) : in_.initial_state.at(name);
    for (size_t i = 0; i < x.size(); ++i) x[i] += step * direction[i];
    if (weight) runner_->set(name, x);
  }

  std::unique_ptr<ModelRunner> runner_;
  Values weights_;
  RunInput in_;
};

void expect_gradient(Objective& objective, const std::string& name, const std::vector<double>& gradient) {
  const auto check = [&](const std::vector<double>& direction, const char* what) {
    const double expected = objective.along(name, direction),
                 scale = std::sqrt(dot(gradient, gradient) / static_cast<double>(gradient.size()));
    EXPECT_NEAR(dot(gradient, direction), expected, 2e-7 * (scale + std::abs(expected)) + 1e-9) << name << ", " << what;
  };
  check(normals(gradient.size(), 31), "a random direction");
  for (size_t i : {size_t{0}, gradient.size() / 2, gradient.size() - 1}) {
    std::vector<double> one(gradient.size());
    one[i] = 1;
    check(one, "one element");
  }
}

class WholeModel : public testing::TestWithParam<std::pair<int64_t, int64_t>> {};  // layers, T

TEST_P(WholeModel, GradientsAreDerivatives) {
  const auto [L, T] = GetParam();
  Objective objective(L, T);
  const RunOutput out = objective.gradients();
  for (const auto& [name, w] : objective.weights()) expect_gradient(objective, name, out.grads.at(name));
  for (const auto& [name, state] : objective.input().initial_state) expect_gradient(objective, name, out.dinitial_state.at(name));
}

TEST_P(WholeModel, UnusedTensorsHaveNoGradient) {
  const auto [L, T] = GetParam();
  const RunOutput with = Objective(L, T).gradients(), without = Objective(L, T, false).gradients();
  for (const char* name : {"blocks.0.att.v0", "blocks.0.att.v1", "blocks.0.att.v2"}) {
    for (double g : with.grads.at(name)) EXPECT_EQ(g, 0) << name;
    EXPECT_EQ(without.grads.count(name), 0u);
  }
  for (const auto& [name, g] : without.grads) EXPECT_EQ(g, with.grads.at(name)) << name;
}

INSTANTIATE_TEST_SUITE_P(Sizes, WholeModel,
                         testing::Values(std::pair{1, 5}, std::pair{2, 1}, std::pair{2, 5}, std::pair{2, 17}, std::pair{3, 5}));

}  // namespace
}  // namespace rk::test
