#include "kernels/sigmoid_gate/op.h"

#include "support/op_case.h"

namespace rk::test {
namespace {

OpCase forward_case(int64_t n) {
  OpCase c;
  c.in("r", {n}).in("v", {n}).in("residual", {n}).out("y", {n});
  c.call = [](const Exec& ex, const Tensors& t) {
    run(ex, SigmoidGateForward{.r = t("r"), .v = t("v"), .residual = t("residual"), .y = t("y")});
  };
  return c;
}

OpCase backward_case(int64_t n) {
  OpCase c;
  c.in("r", {n}).in("v", {n}).in("dy", {n}).out("dr", {n}).out("dv", {n}).out("gated", {n});
  c.call = [](const Exec& ex, const Tensors& t) {
    run(ex, SigmoidGateBackward{.r = t("r"), .v = t("v"), .dy = t("dy"), .dr = t("dr"), .dv = t("dv"), .gated = t("gated")});
  };
  return c;
}

TEST(SigmoidGate, GradientsAreFiniteDifferences) {
  for (int64_t n : {1, 7, 65, 1000}) {
    expect_gradients({.forward = forward_case(n).without("residual"),
                      .backward = backward_case(n),
                      .seeds = {{"y", "dy"}},
                      .gradients = {{"r", "dr"}, {"v", "dv"}}});
  }
}

TEST(SigmoidGate, TheResidualIsAdded) {
  const Values alone = run_case(forward_case(65).without("residual"), DType::f64);
  std::vector<double> sum = forward_case(65).slot("residual").values;
  for (size_t i = 0; i < sum.size(); ++i) sum[i] += alone.at("y")[i];
  EXPECT_LE(relative_difference(run_case(forward_case(65), DType::f64).at("y"), sum), 1e-15);  // a product and a sum may be rounded once
}

TEST(SigmoidGate, OtherTypesAndThreads) {
  for (int64_t n : {1, 7, 1000, 20000}) {
    expect_close_to_double(forward_case(n));
    expect_close_to_double(forward_case(n).without("residual"));
    expect_close_to_double(backward_case(n));
  }
  expect_same_bits_for_threads(forward_case(50000));
  expect_same_bits_for_threads(backward_case(50000));
}

TEST(SigmoidGate, InPlace) {
  for (const char* input : {"r", "v", "residual"}) expect_alias(forward_case(1003), "y", input);
  for (const char* output : {"dr", "dv"}) {
    for (const char* input : {"r", "v", "dy"}) expect_alias(backward_case(1003), output, input);
  }
  expect_alias(backward_case(1003).aliased("dr", "v"), "dv", "r");
  Values rest = run_case(backward_case(1003), DType::bf16);
  rest.erase("gated");
  EXPECT_EQ(run_case(backward_case(1003).without("gated"), DType::bf16), rest);
}

}  // namespace
}  // namespace rk::test
