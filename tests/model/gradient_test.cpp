// Gradients of whole models against finite differences in double.
#include <gtest/gtest.h>

#include "support/model_objective.h"

namespace rk::test {
namespace {

ModelSpec spec_of(int64_t n_layer, bool layer0_v = true) {
  ModelSpec spec = tiny_spec(DType::f64, n_layer);
  spec.layer0_v = layer0_v;
  return spec;
}

class WholeModel : public testing::TestWithParam<std::pair<int64_t, int64_t>> {};  // layers, T

TEST_P(WholeModel, GradientsAreDerivatives) {
  const auto [L, T] = GetParam();
  Objective objective(spec_of(L), T);
  expect_gradients(objective);
}

TEST_P(WholeModel, UnusedTensorsHaveNoGradient) {
  const auto [L, T] = GetParam();
  const RunOutput with = Objective(spec_of(L), T).gradients(), without = Objective(spec_of(L, false), T).gradients();
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
