#include "kernels/token_shift/op.h"

#include "support/documents.h"

namespace rk::test {
namespace {

enum class Weights { of_prev, of_self, of_token };

struct Sizes {
  int64_t B, T, C;
  int n;
  Weights weights = Weights::of_prev;
  Shape x() const { return {B, T, C}; }
};

std::string numbered(const char* name, int m) { return name + std::to_string(m); }

OpCase forward_case(const Sizes& s) {
  OpCase c;
  c.in("x", s.x()).in("state_in", {s.B, s.C}).out("state_out", {s.B, s.C});
  for (int m = 0; m < s.n; ++m) {
    c.in(numbered("mu", m), {s.C}).out(numbered("y", m), s.x());
    if (s.weights == Weights::of_token) c.in(numbered("more", m), s.x());
  }
  c.call = [n = s.n, of_self = s.weights == Weights::of_self](const Exec& ex, const Tensors& t) {
    TokenShiftForward a{
        .x = t("x"), .state_in = t("state_in"), .state_out = t("state_out"), .n = n, .mu_of_self = of_self, .mu = {}, .y = {}, .more = {}};
    for (int m = 0; m < n; ++m) {
      const auto i = static_cast<size_t>(m);
      a.mu[i] = t(numbered("mu", m));
      a.y[i] = t(numbered("y", m));
      a.more[i] = t(numbered("more", m));
    }
    a.resets = t("resets");
    run(ex, a);
  };
  return c;
}

OpCase backward_case(const Sizes& s, bool add = false) {
  OpCase c;
  c.in("x", s.x()).in("state_in", {s.B, s.C});
  if (add) {
    c.inout("dx", s.x());
  } else {
    c.out("dx", s.x());
  }
  c.in("dstate_out", {s.B, s.C}, Held::sum).out("dstate_in", {s.B, s.C}, Held::sum);
  for (int m = 0; m < s.n; ++m) {
    c.in(numbered("mu", m), {s.C}).in(numbered("dy", m), s.x()).inout(numbered("dmu", m), {s.C}, Held::sum);
    if (s.weights == Weights::of_token) c.in(numbered("more", m), s.x()).out(numbered("dmore", m), s.x());
  }
  c.call = [n = s.n, add, of_self = s.weights == Weights::of_self](const Exec& ex, const Tensors& t) {
    TokenShiftBackward a{.x = t("x"),
                         .state_in = t("state_in"),
                         .dx = t("dx"),
                         .dstate_out = t("dstate_out"),
                         .dstate_in = t("dstate_in"),
                         .n = n,
                         .mu_of_self = of_self,
                         .mu = {},
                         .dmu = {},
                         .dy = {},
                         .more = {},
                         .dmore = {},
                         .add_dx = add};
    for (int m = 0; m < n; ++m) {
      const auto i = static_cast<size_t>(m);
      a.mu[i] = t(numbered("mu", m));
      a.dmu[i] = t(numbered("dmu", m));
      a.dy[i] = t(numbered("dy", m));
      a.more[i] = t(numbered("more", m));
      a.dmore[i] = t(numbered("dmore", m));
    }
    a.resets = t("resets");
    run(ex, a);
  };
  return c;
}

GradientCase gradient_case(const Sizes& s, bool add = false) {
  GradientCase g{.forward = forward_case(s), .backward = backward_case(s, add), .seeds = {}, .gradients = {}};
  g.seeds = {{"state_out", "dstate_out"}};
  g.gradients = {{"x", "dx"}, {"state_in", "dstate_in"}};
  for (int m = 0; m < s.n; ++m) {
    g.seeds[numbered("y", m)] = numbered("dy", m);
    g.gradients[numbered("mu", m)] = numbered("dmu", m);
    if (s.weights == Weights::of_token) g.gradients[numbered("more", m)] = numbered("dmore", m);
  }
  return g;
}

TEST(TokenShift, GradientsAreFiniteDifferences) {
  for (const Sizes& s : {Sizes{1, 1, 1, 1}, {2, 7, 65, 6}, {3, 16, 8, 2}, {2, 17, 33, 3}, {1, 100, 7, 6}, {5, 1, 65, 1}}) {
    expect_gradients(gradient_case(s));
  }
}

TEST(TokenShift, WeightsOfItselfAndOfTokens) {
  for (Weights w : {Weights::of_self, Weights::of_token}) {
    for (const Sizes& s : {Sizes{2, 7, 65, 1, w}, {3, 16, 8, 5, w}, {1, 40, 7, 2, w}, {5, 1, 33, 3, w}}) {
      expect_gradients(gradient_case(s, true));
      expect_gradients(with_resets(gradient_case(s), s.B, s.T, document_flags(s.B, s.T, 1)));
    }
    for (const Sizes& s : {Sizes{2, 17, 65, 5, w}, {2, 70, 24, 5, w}, {150, 1, 8, 2, w}}) {
      expect_close_to_double(forward_case(s), 2e-6, 6e-3);
      for (bool add : {false, true}) expect_close_to_double(backward_case(s, add), 2e-6, 6e-3);
    }
    expect_same_bits_for_threads(forward_case({3, 100, 65, 5, w}));
    expect_same_bits_for_threads(backward_case({3, 100, 65, 5, w}));
  }
}

TEST(TokenShift, MixesInPlaceOfTheirWeights) {
  for (const Sizes& s : {Sizes{2, 70, 65, 3, Weights::of_token}, {3, 50, 16, 2, Weights::of_token}}) {
    OpCase forward = forward_case(s), backward = backward_case(s);
    for (int m = 1; m < s.n; ++m) {
      forward = forward.aliased(numbered("y", m), numbered("more", m));
      backward = backward.aliased(numbered("dmore", m), numbered("dy", m));
    }
    expect_alias(forward, "y0", "more0");
    expect_alias(backward, "dmore0", "dy0");
    for (DType dtype : {DType::f64, DType::bf16}) {
      EXPECT_EQ(run_case(forward, dtype), run_case(forward_case(s), dtype));
      EXPECT_EQ(run_case(backward, dtype), run_case(backward_case(s), dtype));
    }
    expect_same_bits_for_threads(backward);
  }
}

TEST(TokenShift, WithoutStates) {
  const Sizes s{2, 5, 33, 2};
  GradientCase g = gradient_case(s);
  g.forward = g.forward.without("state_in").without("state_out");
  g.backward = g.backward.without("state_in").without("dstate_in").without("dstate_out");
  g.seeds.erase("state_out");
  g.gradients.erase("state_in");
  expect_gradients(g);
  const OpCase frozen = backward_case(s).without("dmu0").without("dmu1");
  EXPECT_EQ(run_case(frozen, DType::f32).at("dx"), run_case(backward_case(s), DType::f32).at("dx"));
}

TEST(TokenShift, SegmentsGiveTheWholeSequence) {
  const Sizes whole{1, 9, 5, 1}, part{1, 4, 5, 1};
  const std::vector<double> y = run_case(forward_case(whole), DType::f64).at("y0");
  OpCase second = forward_case({1, 5, 5, 1});
  const std::vector<double> x = forward_case(whole).slot("x").values;
  second.slot("x").values.assign(x.begin() + 20, x.end());
  OpCase first = forward_case(part);
  first.slot("x").values.assign(x.begin(), x.begin() + 20);
  second.slot("state_in").values = run_case(first, DType::f64).at("state_out");
  EXPECT_EQ(run_case(second, DType::f64).at("y0"), std::vector<double>(y.begin() + 20, y.end()));
}

TEST(TokenShift, OtherTypesAndThreads) {
  expect_close_to_double(forward_case({2, 17, 65, 6}));
  expect_close_to_double(backward_case({2, 17, 65, 6}));
  expect_close_to_double(forward_case({2, 70, 24, 6}));
  expect_close_to_double(backward_case({2, 70, 24, 6}));
  expect_close_to_double(backward_case({150, 1, 8, 2}));
  expect_same_bits_for_threads(forward_case({3, 100, 65, 6}));
  expect_same_bits_for_threads(backward_case({3, 100, 65, 6}));
}

TEST(TokenShift, DocumentsAreSequencesOfTheirOwn) {
  const auto weights = [](int n) { return n == 6 ? Weights::of_prev : (n == 2 ? Weights::of_self : Weights::of_token); };
  expect_documents_of_mixes(
      [&](int64_t B, int64_t T, int64_t C, int n) {
        return forward_case({B, T, C, n, weights(n)});
      },
      [&](int64_t B, int64_t T, int64_t C, int n) {
        return backward_case({B, T, C, n, weights(n)});
      });
}

TEST(TokenShift, GradientsWithResetsAreFiniteDifferences) {
  for (const auto& [s, pattern] : {std::pair{Sizes{2, 7, 33, 6}, size_t{1}}, {Sizes{3, 16, 8, 2}, 3}, {Sizes{1, 40, 7, 1}, 6}}) {
    expect_gradients(with_resets(gradient_case(s), s.B, s.T, document_flags(s.B, s.T, pattern)));
  }
}

TEST(TokenShift, StateInPlace) { expect_alias(forward_case({3, 5, 65, 2}), "state_out", "state_in"); }

}  // namespace
}  // namespace rk::test
