#include "kernels/layer_norm/op.h"

#include "support/op_case.h"

namespace rk::test {
namespace {

OpCase forward_case(int64_t R, int64_t C) {
  OpCase c;
  c.in("x", {R, C}, Held::model, random_values("x", R * C, 2, 3)).in("weight", {C}).in("bias", {C});
  c.out("y", {R, C}).out("mean", {R}, Held::sum).out("rstd", {R}, Held::sum);
  c.call = [](const Exec& ex, const Tensors& t) {
    run(ex, LayerNormForward{.x = t("x"), .weight = t("weight"), .bias = t("bias"), .y = t("y"), .mean = t("mean"), .rstd = t("rstd")});
  };
  return c;
}

OpCase backward_case(int64_t R, int64_t C, bool add_dx = false) {
  OpCase c;
  const Values saved = run_case(forward_case(R, C), DType::f64);
  c.in("x", {R, C}, Held::model, random_values("x", R * C, 2, 3)).in("weight", {C});
  c.in("mean", {R}, Held::sum, saved.at("mean")).in("rstd", {R}, Held::sum, saved.at("rstd")).in("dy", {R, C});
  if (add_dx) {
    c.inout("dx", {R, C});
  } else {
    c.out("dx", {R, C});
  }
  c.inout("dweight", {C}, Held::sum).inout("dbias", {C}, Held::sum);
  c.call = [add_dx](const Exec& ex, const Tensors& t) {
    run(ex, LayerNormBackward{.x = t("x"),
                              .weight = t("weight"),
                              .mean = t("mean"),
                              .rstd = t("rstd"),
                              .dy = t("dy"),
                              .dx = t("dx"),
                              .dweight = t("dweight"),
                              .dbias = t("dbias"),
                              .add_dx = add_dx});
  };
  return c;
}

TEST(LayerNorm, GradientsAreFiniteDifferences) {
  for (auto [R, C] : {std::pair<int64_t, int64_t>{1, 2}, {7, 65}, {65, 7}, {100, 130}}) {
    for (bool add_dx : {false, true}) {
      expect_gradients({.forward = forward_case(R, C),
                        .backward = backward_case(R, C, add_dx),
                        .seeds = {{"y", "dy"}},
                        .gradients = {{"x", "dx"}, {"weight", "dweight"}, {"bias", "dbias"}}});
    }
  }
}

TEST(LayerNorm, OneColumnIsItsBias) {
  const OpCase c = forward_case(3, 1);
  const double bias = random_values("bias", 1)[0];
  EXPECT_EQ(run_case(c, DType::f32).at("y"), std::vector<double>(3, bias));
}

TEST(LayerNorm, FloatAndBf16AreCloseToDouble) {
  expect_close_to_double(forward_case(65, 100));
  expect_close_to_double(backward_case(65, 100));
  expect_close_to_double(forward_case(9, 520));
  expect_close_to_double(backward_case(300, 264, true));
}

TEST(LayerNorm, ThreadsDoNotChangeBits) {
  expect_same_bits_for_threads(forward_case(300, 200));
  expect_same_bits_for_threads(backward_case(300, 200));
  expect_same_bits_for_threads(backward_case(5000, 9, true));
}

TEST(LayerNorm, InPlaceAndOptionalTensors) {
  const OpCase unsaved = forward_case(7, 65).without("mean").without("rstd");
  EXPECT_EQ(run_case(unsaved, DType::f32).at("y"), run_case(forward_case(7, 65), DType::f32).at("y"));
  expect_alias(unsaved, "y", "x");
  expect_alias(backward_case(7, 65), "dx", "dy");
  const OpCase frozen = backward_case(7, 65).without("dweight").without("dbias");
  EXPECT_EQ(run_case(frozen, DType::f32).at("dx"), run_case(backward_case(7, 65), DType::f32).at("dx"));
}

}  // namespace
}  // namespace rk::test
