#include "kernels/norm_mix/op.h"

#include "kernels/layer_norm/op.h"
#include "kernels/token_shift/op.h"
#include "support/documents.h"

namespace rk::test {
namespace {

struct Sizes {
  int64_t B, T, C;
  int n;
  bool of_self = false;
  Shape x() const { return {B, T, C}; }
};

std::string numbered(const char* name, int m) { return name + std::to_string(m); }

OpCase with_inputs(const Sizes& s) {
  OpCase c;
  c.in("x", s.x(), Held::model, random_values("x", s.x().numel(), 2, 1)).in("weight", {s.C}).in("bias", {s.C}).in("state_in", {s.B, s.C});
  for (int m = 0; m < s.n; ++m) c.in(numbered("mu", m), {s.C});
  return c;
}

OpCase forward_case(const Sizes& s) {
  OpCase c = with_inputs(s);
  c.out("state_out", {s.B, s.C});
  for (int m = 0; m < s.n; ++m) c.out(numbered("y", m), s.x());
  c.call = [n = s.n, of_self = s.of_self](const Exec& ex, const Tensors& t) {
    NormMixForward a{.x = t("x"), .weight = t("weight"), .bias = t("bias"), .state_in = t("state_in"), .state_out = t("state_out"), .n = n};
    a.mu_of_self = of_self;
    for (int m = 0; m < n; ++m) {
      a.mu[static_cast<size_t>(m)] = t(numbered("mu", m));
      a.y[static_cast<size_t>(m)] = t(numbered("y", m));
    }
    a.resets = t("resets");
    run(ex, a);
  };
  return c;
}

OpCase backward_case(const Sizes& s) {
  OpCase c = with_inputs(s);
  c.inout("dx", s.x()).in("dstate_out", {s.B, s.C}, Held::sum).out("dstate_in", {s.B, s.C}, Held::sum);
  c.inout("dweight", {s.C}, Held::sum).inout("dbias", {s.C}, Held::sum);
  for (int m = 0; m < s.n; ++m) c.in(numbered("dy", m), s.x()).inout(numbered("dmu", m), {s.C}, Held::sum);
  c.call = [n = s.n, of_self = s.of_self](const Exec& ex, const Tensors& t) {
    NormMixBackward a{.x = t("x"),
                      .weight = t("weight"),
                      .bias = t("bias"),
                      .state_in = t("state_in"),
                      .dx = t("dx"),
                      .dstate_out = t("dstate_out"),
                      .dstate_in = t("dstate_in"),
                      .n = n,
                      .mu_of_self = of_self,
                      .dweight = t("dweight"),
                      .dbias = t("dbias")};
    for (int m = 0; m < n; ++m) {
      const auto i = static_cast<size_t>(m);
      a.mu[i] = t(numbered("mu", m));
      a.dmu[i] = t(numbered("dmu", m));
      a.dy[i] = t(numbered("dy", m));
    }
    a.resets = t("resets");
    run(ex, a);
  };
  return c;
}

GradientCase gradient_case(const Sizes& s) {
  GradientCase g{.forward = forward_case(s), .backward = backward_case(s), .seeds = {{"state_out", "dstate_out"}}, .gradients = {}};
  g.gradients = {{"x", "dx"}, {"weight", "dweight"}, {"bias", "dbias"}, {"state_in", "dstate_in"}};
  for (int m = 0; m < s.n; ++m) {
    g.seeds[numbered("y", m)] = numbered("dy", m);
    g.gradients[numbered("mu", m)] = numbered("dmu", m);
  }
  return g;
}

TEST(NormMix, GradientsAreFiniteDifferences) {
  for (const Sizes& s : {Sizes{1, 1, 2, 1}, {2, 7, 33, 6}, {3, 16, 8, 2}, {2, 17, 9, 3}, {1, 40, 7, 6}, {5, 1, 65, 1}}) {
    expect_gradients(gradient_case(s));
  }
}

TEST(NormMix, WeightsOfItself) {
  for (const Sizes& s : {Sizes{2, 7, 33, 3, true}, {3, 16, 8, 1, true}, {1, 40, 7, 6, true}}) expect_gradients(gradient_case(s));
  for (const Sizes& s : {Sizes{2, 40, 64, 6, true}, {1, 70, 520, 1, true}, {3, 11, 8, 2, true}}) {
    expect_close_to_double(forward_case(s), 2e-6, 6e-3);
    expect_close_to_double(backward_case(s), 2e-6, 8e-3);
    expect_close_to_double(with_resets(backward_case(s), s.B, s.T, document_flags(s.B, s.T, 1)), 2e-6, 8e-3);
  }
}

TEST(NormMix, WithoutStates) {
  const Sizes s{2, 5, 33, 2};
  GradientCase g = gradient_case(s);
  g.forward = g.forward.without("state_in").without("state_out");
  g.backward = g.backward.without("state_in").without("dstate_in").without("dstate_out");
  g.seeds.erase("state_out");
  g.gradients.erase("state_in");
  expect_gradients(g);
  const Sizes whole{3, 9, 32, 6};
  expect_close_to_double(forward_case(whole).without("state_in").without("state_out"), 2e-6, 6e-3);
  expect_close_to_double(backward_case(whole).without("state_in").without("dstate_in").without("dstate_out"), 2e-6, 8e-3);
}

TEST(NormMix, FrozenParameters) {
  const OpCase whole = backward_case({2, 5, 33, 2});
  const OpCase frozen = whole.without("dmu0").without("dmu1").without("dweight").without("dbias");
  EXPECT_EQ(run_case(frozen, DType::f32).at("dx"), run_case(whole, DType::f32).at("dx"));
}

TEST(NormMix, IsALayerNormAndATokenShift) {
  const Sizes s{2, 9, 40, 1};
  const OpCase fused = forward_case(s);
  for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    OpCase two = fused;
    two.out("z", s.x());
    two.call = [](const Exec& ex, const Tensors& t) {
      run(ex, LayerNormForward{.x = t("x"), .weight = t("weight"), .bias = t("bias"), .y = t("z")});
      run(ex,
          TokenShiftForward{.x = t("z"), .state_in = t("state_in"), .state_out = t("state_out"), .n = 1, .mu = {t("mu0")}, .y = {t("y0")}});
    };
    Values expected = run_case(two, dtype);
    expected.erase("z");
    EXPECT_EQ(run_case(fused, dtype), expected) << name_of(dtype);
  }
}

TEST(NormMix, OtherTypesAndThreads) {
  expect_close_to_double(forward_case({2, 17, 65, 6}), 2e-6, 6e-3);
  expect_close_to_double(backward_case({2, 17, 65, 6}), 2e-6, 8e-3);
  // Whole packs: the fused kernels of a GPU, over several strips, with a part of a warp, with samples of one row.
  for (const Sizes& s : {Sizes{2, 40, 64, 6}, {1, 70, 520, 1}, {3, 11, 8, 6}, {37, 1, 16, 1}, {1, 2, 264, 6}}) {
    expect_close_to_double(forward_case(s), 2e-6, 6e-3);
    expect_close_to_double(backward_case(s), 2e-6, 8e-3);
  }
  expect_same_bits_for_threads(forward_case({3, 100, 65, 6}));
  expect_same_bits_for_threads(backward_case({3, 100, 65, 6}));
}

TEST(NormMix, DocumentsAreSequencesOfTheirOwn) {
  expect_documents_of_mixes(
      [](int64_t B, int64_t T, int64_t C, int n) {
        return forward_case({B, T, C, n});
      },
      [](int64_t B, int64_t T, int64_t C, int n) {
        return backward_case({B, T, C, n});
      });
}

TEST(NormMix, GradientsWithResetsAreFiniteDifferences) {
  for (const auto& [s, pattern] : {std::pair{Sizes{2, 7, 33, 6}, size_t{1}}, {Sizes{3, 16, 8, 2}, 3}, {Sizes{1, 40, 7, 1}, 6}}) {
    expect_gradients(with_resets(gradient_case(s), s.B, s.T, document_flags(s.B, s.T, pattern)));
  }
}

TEST(NormMix, StateInPlace) {
  for (const Sizes& s : {Sizes{3, 5, 65, 2}, {3, 50, 64, 1}}) expect_alias(forward_case(s), "state_out", "state_in");
}

}  // namespace
}  // namespace rk::test
