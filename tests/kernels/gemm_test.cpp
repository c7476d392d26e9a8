#include "kernels/gemm/op.h"

#include "support/op_case.h"

namespace rk::test {
namespace {

struct Sizes {
  int64_t M, N, K;
};

OpCase gemm_case(const Sizes& s, bool trans_a, bool trans_b, bool add, Held c_held = Held::model) {
  OpCase c;
  c.on_gpu = false;
  c.in("a", trans_a ? Shape{s.K, s.M} : Shape{s.M, s.K}).in("b", trans_b ? Shape{s.N, s.K} : Shape{s.K, s.N});
  if (add) {
    c.inout("c", {s.M, s.N}, c_held);
  } else {
    c.out("c", {s.M, s.N}, c_held);
  }
  c.call = [=](const Exec& ex, const Tensors& t) {
    run(ex, Gemm{.a = t("a"), .b = t("b"), .c = t("c"), .trans_a = trans_a, .trans_b = trans_b, .add = add});
  };
  return c;
}

std::vector<double> plain_product(const Sizes& s, OpCase c, bool trans_a, bool trans_b, bool add) {
  const std::vector<double>&a = c.slot("a").values, &b = c.slot("b").values;
  std::vector<double> r = add ? c.slot("c").values : std::vector<double>(static_cast<size_t>(s.M * s.N));
  for (int64_t m = 0; m < s.M; ++m) {
    for (int64_t n = 0; n < s.N; ++n) {
      double sum = 0;
      for (int64_t k = 0; k < s.K; ++k) {
        sum += a[static_cast<size_t>(trans_a ? k * s.M + m : m * s.K + k)] * b[static_cast<size_t>(trans_b ? n * s.K + k : k * s.N + n)];
      }
      r[static_cast<size_t>(m * s.N + n)] += sum;
    }
  }
  return r;
}

// Every transposition, with and without adding; f(case, trans_a, trans_b, add).
template <class F>
void for_all_forms(const Sizes& s, const F& f) {
  for (int bits = 0; bits < 8; ++bits) {
    const bool trans_a = bits & 1, trans_b = bits & 2, add = bits & 4;
    SCOPED_TRACE(cat("M=", s.M, " N=", s.N, " K=", s.K, " trans_a=", trans_a, " trans_b=", trans_b, " add=", add));
    f(gemm_case(s, trans_a, trans_b, add), trans_a, trans_b, add);
  }
}

const Sizes kSizes[] = {{1, 1, 1},  {1, 65, 33}, {4, 7, 100},  {5, 200, 70},   {16, 33, 65},  {17, 17, 17},
                        {7, 1, 65}, {65, 1, 7},  {33, 100, 1}, {100, 65, 300}, {97, 49, 257}, {64, 50, 1030}};

TEST(Gemm, IsTheProduct) {
  for (const Sizes& s : kSizes) {
    for_all_forms(s, [&](const OpCase& c, bool trans_a, bool trans_b, bool add) {
      const std::vector<double> expected = plain_product(s, c, trans_a, trans_b, add);
      EXPECT_LE(relative_difference(run_case(c, DType::f64).at("c"), expected), 1e-14);
      EXPECT_LE(relative_difference(run_case(c, DType::f32).at("c"), expected), 1e-6);
      EXPECT_LE(relative_difference(run_case(c, DType::bf16).at("c"), expected), 3e-3);
      // bf16 factors are exact in float: with sums kept in float only their rounding is left.
      OpCase wide = c;
      wide.slot("c").held = Held::sum;
      EXPECT_LE(relative_difference(run_case(wide, DType::bf16).at("c"), expected), 1e-6);
    });
  }
}

TEST(Gemm, WiderThanOnePanel) {
  for (const Sizes& s : {Sizes{20, 1100, 1100}, {130, 2200, 40}, {2, 70, 3000}}) {
    const OpCase c = gemm_case(s, false, true, true);
    const std::vector<double> expected = plain_product(s, c, false, true, true);
    EXPECT_LE(relative_difference(run_case(c, DType::f64).at("c"), expected), 1e-14);
    EXPECT_LE(relative_difference(run_case(c, DType::f32, 2).at("c"), expected), 1e-6);
    EXPECT_LE(relative_difference(run_case(c, DType::bf16, 2).at("c"), expected), 3e-3);
  }
}

TEST(Gemm, ThreadsDoNotChangeBits) {
  for (const Sizes& s : {Sizes{3, 300, 200}, {250, 130, 300}, {20, 1100, 1100}}) {
    for (bool trans_a : {false, true}) {
      for (bool trans_b : {false, true}) expect_same_bits_for_threads(gemm_case(s, trans_a, trans_b, true));
    }
  }
}

TEST(Gemm, EmptySums) {
  const Sizes s{3, 5, 0};
  EXPECT_EQ(run_case(gemm_case(s, false, false, false), DType::f32).at("c"), std::vector<double>(15, 0.0));
  const OpCase added = gemm_case(s, false, false, true);
  EXPECT_EQ(run_case(added, DType::f32).at("c"), random_values("c", 15));
}

TEST(Gemm, NanSurvives) {
  for (const Sizes& s : {Sizes{2, 5, 40}, {40, 50, 40}}) {
    OpCase c = gemm_case(s, false, false, false);
    c.slot("a").values[3] = NAN;
    const std::vector<double> r = run_case(c, DType::f32).at("c");
    for (int64_t i = 0; i < s.M * s.N; ++i) EXPECT_EQ(std::isnan(r[static_cast<size_t>(i)]), i < s.N);
  }
}

TEST(Gemm, RefusesSizesThatDoNotFit) {
  OpCase c = gemm_case({3, 4, 5}, false, false, false);
  c.slot("b").shape = {6, 4};
  c.slot("b").values.resize(24);
  EXPECT_THROW(run_case(c, DType::f32), Error);
}

}  // namespace
}  // namespace rk::test
