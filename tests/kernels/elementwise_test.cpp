#include "kernels/elementwise/op.h"

#include "support/cpu_exec.h"
#include "support/op_case.h"

namespace rk::test {
namespace {

Tensor with_dtype_of(const Tensor& t, DType dtype) {
  Tensor r = t;
  r.dtype = dtype;
  return r;
}

TEST(Cast, EveryPairOfTypesKeepsBf16Values) {
  for (DType from : {DType::f64, DType::f32, DType::bf16}) {
    for (Held to : {Held::f64, Held::f32, Held::model}) {
      OpCase c;
      c.in("x", {7, 65}).out("y", {7, 65}, to);
      c.call = [](const Exec& ex, const Tensors& t) { run(ex, Cast{.x = t("x"), .y = t("y")}); };
      EXPECT_EQ(run_case(c, from).at("y"), c.slot("x").values);
    }
  }
}

TEST(Cast, RoundsToNearestEvenAndKeepsNan) {
  OpCase c;
  c.in("x", {5}, Held::f32, {1.00390625, 1.01171875, -1.004, NAN, INFINITY}).out("y", {5});
  c.call = [](const Exec& ex, const Tensors& t) { run(ex, Cast{.x = t("x"), .y = t("y")}); };
  const std::vector<double> y = run_case(c, DType::bf16).at("y");
  EXPECT_EQ(y[0], 1.0);
  EXPECT_EQ(y[1], 1.015625);
  EXPECT_EQ(y[2], -1.0078125);
  EXPECT_TRUE(std::isnan(y[3]));
  EXPECT_EQ(y[4], INFINITY);
}

OpCase add_case(int64_t n, Held x) {
  OpCase c;
  c.in("x", {n}, x).inout("y", {n});
  c.call = [](const Exec& ex, const Tensors& t) { run(ex, Add{.x = t("x"), .y = t("y")}); };
  return c;
}

TEST(Add, SumsInTheWiderType) {
  for (Held x : {Held::model, Held::f32, Held::f64}) {
    expect_close_to_double(add_case(65, x), 1e-7);
    expect_same_bits_for_threads(add_case(50001, x));
  }
  OpCase c = add_case(1, Held::f64);
  c.slot("x").values = {0x1p-30};
  c.slot("y").values = {1};
  c.slots[1].held = Held::f64;
  EXPECT_EQ(run_case(c, DType::f32).at("y")[0], 1 + 0x1p-30);
}

TEST(SumOfSquares, AddsInDouble) {
  for (int64_t n : {1, 15, 4096, 4097, 50001}) {
    OpCase c;
    c.in("x", {n}).inout("out", {1}, Held::f64, {0.5});
    c.call = [](const Exec& ex, const Tensors& t) { run(ex, SumOfSquares{.x = t("x"), .out = t("out")}); };
    double expected = 0.5;
    for (double x : c.slot("x").values) expected += x * x;
    for (DType dtype : {DType::f64, DType::f32, DType::bf16}) EXPECT_NEAR(run_case(c, dtype).at("out")[0], expected, 1e-12 * expected);
    expect_same_bits_for_threads(c);
  }
}

TEST(Fill, SetsEveryElement) {
  for (int64_t n : {1, 65, 50001}) {
    OpCase c;
    c.out("x", {n});
    c.call = [](const Exec& ex, const Tensors& t) { run(ex, Fill{.x = t("x"), .value = 1.5}); };
    for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
      EXPECT_EQ(run_case(c, dtype, 2).at("x"), std::vector<double>(static_cast<size_t>(n), 1.5));
    }
  }
}

TEST(Elementwise, RefusesWrongSizes) {
  const CpuExec cpu(1, 0);
  const Tensor x = Guarded(DType::f32, {4}).tensor(), y = Guarded(DType::f32, {5}).tensor();
  EXPECT_THROW(run(cpu.ex(), Cast{.x = x, .y = y}), Error);
  EXPECT_THROW(run(cpu.ex(), Add{.x = x, .y = y}), Error);
  EXPECT_THROW(run(cpu.ex(), SumOfSquares{.x = x, .out = with_dtype_of(x, DType::f64)}), Error);
}

}  // namespace
}  // namespace rk::test
