// Gradients of a whole model against differences in double: of its weights, and of the states that its sequences begin with.
#pragma once
#include <gtest/gtest.h>

#include "support/tiny_model.h"

namespace rk::test {

// loss + <dfinal, final state>: what the gradients belong to.
class Objective {
 public:
  Objective(const ModelSpec& spec, int64_t T) : runner_(family_of(spec.arch).make(spec)) {
    for (const Param& p : runner_.model().params.all()) weights_[p.name] = lively_values(p);
    for (const auto& [name, values] : weights_) runner_.set(name, values);
    in_ = random_input(runner_.model(), 2, T);
    in_.initial_state = random_states(runner_.model(), 2, 100);
    in_.dfinal_state = random_state_gradients(runner_.model(), 2, 200, 0.05);
    in_.want_dinitial = true;
    value();
  }
  double value() {
    const RunOutput out = runner_.forward(in_);
    double sum = out.loss;
    if (base_.empty()) base_ = out.final_state;
    for (const auto& [name, d] : in_.dfinal_state)
      sum += dot(d, with_exponents_of(runner_.model(), name, out.final_state.at(name), base_.at(name)));
    return sum;
  }
  RunOutput gradients() { return runner_.train(in_); }

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
  Model& model() { return runner_.model(); }

 private:
  void move(const std::string& name, const std::vector<double>& direction, double step) {
    const bool weight = weights_.count(name) > 0;
    std::vector<double>& x = weight ? weights_.at(name) : in_.initial_state.at(name);
    for (size_t i = 0; i < x.size(); ++i) x[i] += step * direction[i];
    if (weight) runner_.set(name, x);
  }

  ModelRunner runner_;
  Values weights_;
  RunInput in_;
  Values base_;  // final states of the first value
};

inline void expect_gradient(Objective& objective, const std::string& name, const std::vector<double>& gradient) {
  const auto check = [&](std::vector<double> direction, const char* what) {
    without_exponents(objective.model(), name, direction);
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

inline void expect_gradients(Objective& objective) {
  const RunOutput out = objective.gradients();
  for (const auto& [name, w] : objective.weights()) expect_gradient(objective, name, out.grads.at(name));
  for (const auto& [name, state] : objective.input().initial_state) expect_gradient(objective, name, out.dinitial_state.at(name));
}

}  // namespace rk::test
