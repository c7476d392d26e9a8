#include "kernels/activation/op.h"

#include "support/op_case.h"

namespace rk::test {
namespace {

OpCase forward_case(Activation f, Shape shape) {
  OpCase c;
  c.in("x", shape, Held::model, random_values("x", shape.numel(), 2)).out("y", shape);
  c.call = [f](const Exec& ex, const Tensors& t) { run(ex, ActivationForward{.f = f, .x = t("x"), .y = t("y")}); };
  return c;
}

OpCase backward_case(Activation f, Shape shape) {
  OpCase c;
  c.in("y", shape, Held::model, run_case(forward_case(f, shape), DType::bf16).at("y")).in("dy", shape).out("dx", shape);
  c.call = [f](const Exec& ex, const Tensors& t) { run(ex, ActivationBackward{.f = f, .y = t("y"), .dy = t("dy"), .dx = t("dx")}); };
  return c;
}

class ActivationTest : public testing::TestWithParam<Activation> {};

TEST_P(ActivationTest, GradientsAreFiniteDifferences) {
  for (int64_t n : {1, 7, 1000}) {
    expect_gradients({.forward = forward_case(GetParam(), {n}),
                      .backward = backward_case(GetParam(), {n}),
                      .seeds = {{"y", "dy"}},
                      .gradients = {{"x", "dx"}}});
  }
}

TEST_P(ActivationTest, FloatAndBf16AreCloseToDouble) {
  expect_close_to_double(forward_case(GetParam(), {65, 7}));
  expect_close_to_double(backward_case(GetParam(), {65, 7}));
}

TEST_P(ActivationTest, ThreadsDoNotChangeBits) {
  expect_same_bits_for_threads(forward_case(GetParam(), {50001}));
  expect_same_bits_for_threads(backward_case(GetParam(), {50001}));
}

TEST_P(ActivationTest, InPlace) {
  expect_alias(forward_case(GetParam(), {1000}), "y", "x");
  expect_alias(backward_case(GetParam(), {1000}), "dx", "dy");
}

TEST_P(ActivationTest, NanAndInfinitySurvive) {
  OpCase c = forward_case(GetParam(), {20});
  c.slot("x").values[3] = NAN;
  c.slot("x").values[17] = INFINITY;
  for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    const std::vector<double> y = run_case(c, dtype).at("y");
    EXPECT_TRUE(std::isnan(y[3]));
    EXPECT_EQ(y[17], GetParam() == Activation::relu2 ? INFINITY : 1.0);
  }
}

INSTANTIATE_TEST_SUITE_P(All, ActivationTest, testing::Values(Activation::tanh, Activation::sigmoid, Activation::relu2));

}  // namespace
}  // namespace rk::test
