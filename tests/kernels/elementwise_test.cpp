#include "kernels/elementwise/op.h"

#include <numeric>

#include "support/cpu_exec.h"
#include "support/op_case.h"

namespace rk::test {
namespace {

Tensor with_dtype_of(const Tensor& t, DType dtype) {
  Tensor r = t;
  r.dtype = dtype;
  return r;
}

// Where operators run: the CPU, and a GPU where there is one.
std::vector<Place> places() { return has_gpu() ? std::vector<Place>{1, Device::cuda} : std::vector<Place>{1}; }

constexpr DType kTypes[] = {DType::f64, DType::f32, DType::bf16, DType::f16};

// Values under a cast, whose y begins `offset` elements into its memory.
std::vector<double> cast_values(Place place, const std::vector<double>& values, DType from, DType to, int64_t offset = 0) {
  const auto n = static_cast<int64_t>(values.size());
  Guarded x(from, {n}, place.device), y(to, {n + offset}, place.device);
  x.fill(values);
  y.fill(std::vector<double>(values.size() + static_cast<size_t>(offset), 0));
  const PlaceExec exec(place, 0);
  run(exec.ex(), Cast{.x = x.tensor(), .y = y.tensor().slice(offset, n)});
  y.expect_guards("y");
  const std::vector<double> result = y.values();
  return {result.begin() + offset, result.end()};
}

TEST(Cast, EveryPairOfTypesKeepsWhatBothHold) {
  for (Place place : places()) {
    for (int64_t n : {1, 455, 5000}) {
      const std::vector<double> values = random_values("x", n);  // bf16 holds them, and f16 those that are not tiny
      std::vector<double> halves(values);
      for (double& x : halves) x = static_cast<double>(to_float(to_f16(static_cast<float>(x))));
      for (DType from : kTypes) {
        for (DType to : kTypes) {
          const auto& given = from == DType::f16 ? halves : values;
          const double limit = from == DType::f16 && to == DType::bf16 ? 0x1p-8 : 0;  // bf16 has fewer digits than f16
          const auto got = cast_values(place, given, from, to, n % 3);
          EXPECT_LE(relative_difference(got, to == DType::f16 ? halves : given), limit) << name_of(from) << " to " << name_of(to);
        }
      }
    }
  }
}

TEST(Cast, RoundsToNearestEvenAndKeepsNan) {
  for (Place place : places()) {
    const auto y = cast_values(place, {1.00390625, 1.01171875, -1.004, NAN, INFINITY}, DType::f32, DType::bf16);
    EXPECT_EQ(y[0], 1.0);
    EXPECT_EQ(y[1], 1.015625);
    EXPECT_EQ(y[2], -1.0078125);
    EXPECT_TRUE(std::isnan(y[3]));
    EXPECT_EQ(y[4], INFINITY);
    const auto h = cast_values(place, {1 + 0x1p-11, 1 + 0x3p-11, 65519, 65520, 0x1p-25, 0x3p-25, NAN, -INFINITY}, DType::f32, DType::f16);
    EXPECT_EQ(std::vector<double>(h.begin(), h.begin() + 6), (std::vector<double>{1, 1 + 0x1p-9, 65504, INFINITY, 0, 0x1p-23}));
    EXPECT_TRUE(std::isnan(h[6]));
    EXPECT_EQ(h[7], -INFINITY);
  }
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
  for (Place place : places()) EXPECT_EQ(run_case(c, DType::f32, place).at("y")[0], 1 + 0x1p-30);
}

TEST(SumOfSquares, AddsInDouble) {
  for (int64_t n : {1, 15, 4096, 4097, 50001, 100003}) {
    OpCase c;
    c.in("x", {n}).inout("out", {1}, Held::f64, {0.5});
    c.call = [](const Exec& ex, const Tensors& t) { run(ex, SumOfSquares{.x = t("x"), .out = t("out")}); };
    double expected = 0.5;
    for (double x : c.slot("x").values) expected += x * x;
    for (Place place : places()) {
      for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
        EXPECT_NEAR(run_case(c, dtype, place).at("out")[0], expected, 1e-12 * expected);
      }
    }
    expect_same_bits_for_threads(c);
  }
}

TEST(SquareBlocks, EachBlockHasItsOwnSum) {
  for (int64_t n : {1, 1023, 1024, 1025, 50001}) {
    const int64_t n_blocks = (n + kSquareBlock - 1) / kSquareBlock;
    OpCase c;
    c.in("x", {n}).out("out", {n_blocks}, Held::f64);
    c.call = [](const Exec& ex, const Tensors& t) { run(ex, SquareBlocks{.x = t("x"), .out = t("out")}); };
    const std::vector<double> x = c.slot("x").values;
    for (Place place : places())
      for (DType dtype : {DType::f64, DType::f32}) {
        const std::vector<double> sums = run_case(c, dtype, place).at("out");
        for (int64_t b = 0; b < n_blocks; ++b) {
          const int64_t first = b * kSquareBlock, last = std::min(n, first + kSquareBlock);
          double expected = 0;
          for (int64_t i = first; i < last; ++i) expected += x[static_cast<size_t>(i)] * x[static_cast<size_t>(i)];
          EXPECT_NEAR(sums[static_cast<size_t>(b)], expected, 1e-12 * expected) << n << " elements, block " << b;
          // The block alone gives the same bits: who has which blocks makes no difference.
          OpCase alone;
          alone.in("x", {last - first}, Held::model, std::vector<double>(x.begin() + first, x.begin() + last)).out("out", {1}, Held::f64);
          alone.call = c.call;
          EXPECT_EQ(run_case(alone, dtype, place).at("out")[0], sums[static_cast<size_t>(b)]);
        }
      }
    expect_same_bits_for_threads(c);
  }
}

TEST(OrderedSum, ZerosBehindChangeNoBit) {
  for (Place place : places()) {
    std::vector<double> sums;
    for (int64_t zeros : {0, 1, 1000, 5000}) {
      OpCase c;
      std::vector<double> x(static_cast<size_t>(3001 + zeros));
      for (size_t i = 0; i < 3001; ++i) x[i] = 1 / static_cast<double>(i + 3);
      c.in("x", {3001 + zeros}, Held::f64, x).out("out", {1}, Held::f64);
      c.call = [](const Exec& ex, const Tensors& t) { run(ex, OrderedSum{.x = t("x"), .out = t("out")}); };
      sums.push_back(run_case(c, DType::f64, place).at("out")[0]);
      EXPECT_NEAR(sums.back(), std::accumulate(x.begin(), x.end(), 0.0), 1e-12);
      EXPECT_EQ(sums.back(), sums.front());
    }
  }
}

TEST(Fill, SetsEveryElement) {
  for (int64_t n : {1, 65, 50001}) {
    OpCase c;
    c.out("x", {n});
    c.call = [](const Exec& ex, const Tensors& t) { run(ex, Fill{.x = t("x"), .value = 1.5}); };
    for (Place place : places()) {
      for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
        EXPECT_EQ(run_case(c, dtype, place).at("x"), std::vector<double>(static_cast<size_t>(n), 1.5));
      }
    }
    EXPECT_EQ(run_case(c, DType::f32, 2).at("x"), std::vector<double>(static_cast<size_t>(n), 1.5));
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
