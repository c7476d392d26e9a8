#include "kernels/dropout/op.h"

#include "support/op_case.h"

namespace rk::test {
namespace {

// What names a mask, and where the tokens of a call lie.
struct Where {
  double p = 0.1;
  uint64_t seed = 42, stream = 7;
  int64_t first_row = 0, first_token = 0, row_tokens = 64;
};

OpCase drop_case(const Shape& shape, const Where& w) {
  OpCase c;
  c.in("x", shape).out("y", shape);
  c.call = [w](const Exec& ex, const Tensors& t) {
    run(ex, Dropout{.x = t("x"),
                    .y = t("y"),
                    .p = w.p,
                    .seed = w.seed,
                    .stream = w.stream,
                    .first_row = w.first_row,
                    .first_token = w.first_token,
                    .row_tokens = w.row_tokens});
  };
  return c;
}

// y of ones: the mask times 1 / (1 - p).
std::vector<double> mask(const Shape& shape, const Where& w) {
  OpCase c = drop_case(shape, w);
  std::fill(c.slot("x").values.begin(), c.slot("x").values.end(), 1.0);
  return run_case(c, DType::f64).at("y");
}

TEST(Dropout, NumbersAreDroppedOrScaled) {
  OpCase c = drop_case({2, 7, 65}, {.p = 0.25});
  const std::vector<double> x = c.slot("x").values, y = run_case(c, DType::f64).at("y"), factor = mask({2, 7, 65}, {.p = 0.25});
  for (size_t i = 0; i < x.size(); ++i) {
    ASSERT_TRUE(factor[i] == 0 || factor[i] == 1 / 0.75) << factor[i];
    ASSERT_EQ(y[i], x[i] * factor[i]);
  }
  EXPECT_EQ(run_case(drop_case({2, 7, 65}, {.p = 0}), DType::f64).at("y"), x) << "nothing is dropped";
}

// With n independent numbers the count of dropped ones has the standard deviation sqrt(n p (1 - p)); neighbours in a row, in time and
// between streams are as independent.
TEST(Dropout, RatesAndIndependence) {
  const Shape shape{4, 64, 260};
  const auto n = static_cast<double>(shape.numel());
  for (double p : {0.01, 0.1, 0.5, 0.9}) {
    const std::vector<double> one = mask(shape, {.p = p}), other = mask(shape, {.p = p, .stream = 8});
    const auto expect_rate = [&](const std::string& what, size_t distance, const std::vector<double>& with, double rate) {
      double count = 0, pairs = 0;
      for (size_t i = 0; i + distance < one.size(); ++i, ++pairs) count += one[i] == 0 && with[i + distance] == 0;
      EXPECT_LE(std::abs(count - pairs * rate), 5 * std::sqrt(n * rate * (1 - rate))) << what << ", p = " << p;
    };
    expect_rate("dropped", 0, one, p);
    for (size_t distance : {1u, 2u, 3u, 4u, 260u, 260u * 64u}) expect_rate(cat("both of a distance of ", distance), distance, one, p * p);
    expect_rate("in two streams", 0, other, p * p);
  }
}

TEST(Dropout, SeedAndStreamNameTheMask) {
  const Shape shape{1, 8, 40};
  const std::vector<double> one = mask(shape, {.p = 0.5});
  EXPECT_EQ(mask(shape, {.p = 0.5}), one);
  EXPECT_NE(mask(shape, {.p = 0.5, .seed = 43}), one);
  EXPECT_NE(mask(shape, {.p = 0.5, .stream = 8}), one);
  EXPECT_NE(mask(shape, {.p = 0.5, .stream = uint64_t{1} << 40 | 7}), one);
  EXPECT_NE(mask(shape, {.p = 0.5, .first_row = int64_t{1} << 33}), one);
}

// The mask of a row's token is the same in whichever call it comes, and in rows of another width as far as they go.
TEST(Dropout, CallsMayBeCutAnywhere) {
  const int64_t B = 3, T = 10, C = 37;
  const Where where{.p = 0.3, .row_tokens = T};
  const std::vector<double> whole = mask({B, T, C}, where);
  for (int64_t b = 0; b < B; ++b) {
    for (const auto& [first, n] : {std::pair{0, 4}, {4, 1}, {5, 5}}) {
      Where part = where;
      part.first_row = b, part.first_token = first;
      const auto begin = whole.begin() + (b * T + first) * C;
      EXPECT_EQ(mask({1, n, C}, part), std::vector<double>(begin, begin + n * C)) << b << ", " << first;
    }
  }
  const std::vector<double> narrow = mask({B, T, 10}, where);
  for (int64_t row = 0; row < B * T; ++row) {
    for (int64_t c = 0; c < 10; ++c) ASSERT_EQ(narrow[static_cast<size_t>(row * 10 + c)], whole[static_cast<size_t>(row * C + c)]);
  }
}

TEST(Dropout, AllDevicesDropTheSame) {
  for (const Shape& shape : {Shape{1, 1, 1}, {2, 7, 65}, {3, 5, 64}, {1, 33, 1000}, {2, 3, 12}}) {
    const OpCase c = drop_case(shape, {.p = 0.4, .seed = ~uint64_t{0}, .first_row = int64_t{1} << 35, .first_token = 9});
    for (DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      const Values host = run_case(c, dtype);
      if (has_gpu()) {
        EXPECT_EQ(run_twice_on_gpu(c, dtype), host) << name_of(dtype);
      }
    }
    expect_close_to_double(c);
  }
  expect_same_bits_for_threads(drop_case({3, 50, 1000}, {.p = 0.5}));
  expect_alias(drop_case({2, 7, 65}, {}), "y", "x");
  expect_alias(drop_case({2, 7, 64}, {}), "y", "x");
}

}  // namespace
}  // namespace rk::test
