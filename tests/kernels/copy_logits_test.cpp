#include "kernels/copy_logits/op.h"

#include "support/op_case.h"

namespace rk::test {
namespace {

struct Sizes {
  int64_t n, T, V, t0;
  Shape c() const { return {n, T}; }
  Shape logits() const { return {n, V}; }
};

std::vector<double> ids_of(const Sizes& s) {
  const Random random(3, 1);
  std::vector<double> ids(static_cast<size_t>(s.T));
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = std::floor(random.uniform(i) * static_cast<double>(s.V));
  return ids;
}

OpCase scale_case(const Sizes& s) {
  OpCase c;
  c.inout("c", s.c());
  c.call = [s](const Exec& ex, const Tensors& t) { run(ex, CausalScale{.c = t("c"), .t0 = s.t0, .scale = 0.625}); };
  return c;
}
OpCase copy_case(const Sizes& s, Held products, Held logits) {
  OpCase c;
  c.in("c", s.c(), products).in("ids", {s.T}, Held::i32, ids_of(s)).inout("logits", s.logits(), logits);
  c.call = [s](const Exec& ex, const Tensors& t) { run(ex, CopyLogits{.c = t("c"), .ids = t("ids"), .logits = t("logits"), .t0 = s.t0}); };
  return c;
}
OpCase backward_case(const Sizes& s, Held products, Held logits) {
  OpCase c;
  c.in("dlogits", s.logits(), logits).in("ids", {s.T}, Held::i32, ids_of(s)).out("dc", s.c(), products);
  c.call = [s](const Exec& ex, const Tensors& t) {
    run(ex, CopyLogitsBackward{.dlogits = t("dlogits"), .ids = t("ids"), .dc = t("dc"), .t0 = s.t0});
  };
  return c;
}

// Few and many kinds of tokens, rows from the first on and later ones, one block of tokens on a GPU and several.
const Sizes kSizes[] = {{1, 1, 1, 0}, {7, 7, 3, 0}, {5, 65, 1, 60}, {4, 300, 1000, 100}, {33, 600, 12, 567}};

TEST(CopyLogits, ScalesWhatIsNotLater) {
  for (const Sizes& s : kSizes) {
    OpCase c = scale_case(s);
    std::vector<double> expected = c.slot("c").values;
    for (int64_t t = 0; t < s.n; ++t) {
      for (int64_t q = 0; q < s.T; ++q) expected[static_cast<size_t>(t * s.T + q)] *= q <= s.t0 + t ? 0.625 : 0;
    }
    EXPECT_EQ(run_case(c, DType::f64).at("c"), expected);
    expect_close_to_double(c);
  }
}

TEST(CopyLogits, RepeatedTokensAddUp) {
  for (const Sizes& s : kSizes) {
    OpCase c = copy_case(s, Held::model, Held::model);
    std::vector<double> expected = c.slot("logits").values;
    for (int64_t t = 0; t < s.n; ++t) {
      for (int64_t q = 0; q <= s.t0 + t; ++q)
        expected[static_cast<size_t>(t * s.V) + static_cast<size_t>(c.slot("ids").values[static_cast<size_t>(q)])] +=
            c.slot("c").values[static_cast<size_t>(t * s.T + q)];
    }
    EXPECT_EQ(run_case(c, DType::f64).at("logits"), expected);
    expect_close_to_double(c, 2e-6);
    for (const auto& [products, logits] : {std::pair{Held::model, Held::sum}, {Held::sum, Held::model}, {Held::sum, Held::sum}}) {
      expect_close_to_double(copy_case(s, products, logits), 2e-6);
      expect_close_to_double(backward_case(s, products, logits));
    }
    expect_same_bits_for_threads(c);
  }
}

TEST(CopyLogits, GradientsAreFiniteDifferences) {
  for (const Sizes& s : kSizes) {
    GradientCase g{.forward = copy_case(s, Held::model, Held::model),
                   .backward = backward_case(s, Held::model, Held::model),
                   .seeds = {},
                   .gradients = {}};
    g.seeds = {{"logits", "dlogits"}};
    g.gradients = {{"c", "dc"}};
    expect_gradients(g);
    expect_same_bits_for_threads(g.backward);
  }
}

}  // namespace
}  // namespace rk::test
