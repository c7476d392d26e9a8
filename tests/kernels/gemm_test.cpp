#include "kernels/gemm/op.h"

#include "support/op_case.h"

namespace rk::test {
namespace {

struct Sizes {
  int64_t M, N, K;
};

// Which of the optional parts a call has.
struct Form {
  bool trans_a = false, trans_b = false;
  bool add = false, base = false, bias = false;
};

OpCase gemm_case(const Sizes& s, const Form& f, Held c_held = Held::model) {
  OpCase c;
  c.in("a", f.trans_a ? Shape{s.K, s.M} : Shape{s.M, s.K}).in("b", f.trans_b ? Shape{s.N, s.K} : Shape{s.K, s.N});
  if (f.base) c.in("base", {s.M, s.N}, c_held);
  if (f.bias) c.in("bias", {s.N}, c_held);
  if (f.add) {
    c.inout("c", {s.M, s.N}, c_held);
  } else {
    c.out("c", {s.M, s.N}, c_held);
  }
  c.call = [=](const Exec& ex, const Tensors& t) {
    run(ex, Gemm{.a = t("a"),
                 .b = t("b"),
                 .c = t("c"),
                 .trans_a = f.trans_a,
                 .trans_b = f.trans_b,
                 .add = f.add,
                 .base = t("base"),
                 .bias = t("bias")});
  };
  return c;
}

std::vector<double> plain_product(const Sizes& s, OpCase c, const Form& f) {
  const std::vector<double>&a = c.slot("a").values, &b = c.slot("b").values;
  std::vector<double> r(static_cast<size_t>(s.M * s.N));
  if (f.add) r = c.slot("c").values;
  if (f.base) r = c.slot("base").values;
  for (int64_t m = 0; m < s.M; ++m) {
    for (int64_t n = 0; n < s.N; ++n) {
      double sum = f.bias ? c.slot("bias").values[static_cast<size_t>(n)] : 0;
      for (int64_t k = 0; k < s.K; ++k) {
        sum +=
            a[static_cast<size_t>(f.trans_a ? k * s.M + m : m * s.K + k)] * b[static_cast<size_t>(f.trans_b ? n * s.K + k : k * s.N + n)];
      }
      r[static_cast<size_t>(m * s.N + n)] += sum;
    }
  }
  return r;
}

// Every transposition with everything that a product may be added to; f(case, form).
template <class F>
void for_all_forms(const Sizes& s, const F& f) {
  for (int bits = 0; bits < 24; ++bits) {
    const int to = bits / 8;
    const Form form{.trans_a = (bits & 1) != 0, .trans_b = (bits & 2) != 0, .add = to == 1, .base = to == 2, .bias = (bits & 4) != 0};
    SCOPED_TRACE(cat("M=", s.M, " N=", s.N, " K=", s.K, " trans_a=", form.trans_a, " trans_b=", form.trans_b, " add=", form.add,
                     " base=", form.base, " bias=", form.bias));
    f(gemm_case(s, form), form);
  }
}

const Sizes kSizes[] = {{1, 1, 1},  {1, 65, 33}, {4, 7, 100},  {5, 200, 70},   {16, 33, 65},  {17, 17, 17},
                        {7, 1, 65}, {65, 1, 7},  {33, 100, 1}, {100, 65, 300}, {97, 49, 257}, {64, 50, 1030}};

TEST(Gemm, IsTheProduct) {
  for (const Sizes& s : kSizes) {
    for_all_forms(s, [&](const OpCase& c, const Form& form) {
      const std::vector<double> expected = plain_product(s, c, form);
      EXPECT_LE(relative_difference(run_case(c, DType::f64).at("c"), expected), 1e-14);
      EXPECT_LE(relative_difference(run_case(c, DType::f32).at("c"), expected), 1e-6);
      EXPECT_LE(relative_difference(run_case(c, DType::bf16).at("c"), expected), 3e-3);
      // bf16 factors are exact in float: with sums kept in float only their rounding is left.
      const OpCase wide = gemm_case(s, form, Held::sum);
      EXPECT_LE(relative_difference(run_case(wide, DType::bf16).at("c"), expected), 1e-6);
    });
  }
}

TEST(Gemm, WiderThanOnePanel) {
  for (const Sizes& s : {Sizes{20, 1100, 1100}, {130, 2200, 40}, {2, 70, 3000}}) {
    const Form form{.trans_b = true, .base = true, .bias = true};
    const OpCase c = gemm_case(s, form);
    const std::vector<double> expected = plain_product(s, c, form);
    EXPECT_LE(relative_difference(run_case(c, DType::f64).at("c"), expected), 1e-14);
    EXPECT_LE(relative_difference(run_case(c, DType::f32, 2).at("c"), expected), 1e-6);
    EXPECT_LE(relative_difference(run_case(c, DType::bf16, 2).at("c"), expected), 3e-3);
  }
}

TEST(Gemm, ThreadsDoNotChangeBits) {
  for (const Sizes& s : {Sizes{3, 300, 200}, {250, 130, 300}, {20, 1100, 1100}}) {
    for (bool trans_a : {false, true}) {
      for (bool trans_b : {false, true}) {
        expect_same_bits_for_threads(gemm_case(s, {.trans_a = trans_a, .trans_b = trans_b, .add = true, .bias = true}));
      }
    }
  }
}

TEST(Gemm, TheBaseMayBeC) {
  for (const Sizes& s : {Sizes{3, 40, 20}, {40, 50, 300}}) {
    const OpCase apart = gemm_case(s, {.base = true, .bias = true});
    expect_alias(apart, "c", "base");
  }
}

TEST(Gemm, EmptySums) {
  const Sizes s{3, 5, 0};
  for_all_forms(s, [&](const OpCase& c, const Form& form) {
    const std::vector<double> expected = plain_product(s, c, form);
    EXPECT_LE(relative_difference(run_case(c, DType::f32).at("c"), expected), 1e-7);
    EXPECT_LE(relative_difference(run_case(c, DType::bf16).at("c"), expected), 3e-3);
  });
  EXPECT_TRUE(run_case(gemm_case({0, 5, 3}, {.bias = true}), DType::f32).at("c").empty());
  EXPECT_TRUE(run_case(gemm_case({5, 0, 3}, {.bias = true}), DType::f32).at("c").empty());
}

TEST(Gemm, NanSurvives) {
  for (const Sizes& s : {Sizes{2, 5, 40}, {40, 50, 40}}) {
    OpCase c = gemm_case(s, {});
    c.slot("a").values[3] = NAN;
    const std::vector<double> r = run_case(c, DType::f32).at("c");
    for (int64_t i = 0; i < s.M * s.N; ++i) EXPECT_EQ(std::isnan(r[static_cast<size_t>(i)]), i < s.N);
  }
}

TEST(Gemm, RefusesSizesThatDoNotFit) {
  OpCase c = gemm_case({3, 4, 5}, {});
  c.slot("b").shape = {6, 4};
  c.slot("b").values.resize(24);
  EXPECT_THROW(run_case(c, DType::f32), Error);
}

}  // namespace
}  // namespace rk::test
