#include "kernels/rwkv7_prepare/op.h"

#include "support/op_case.h"

namespace rk::test {
namespace {

struct Sizes {
  int64_t R, H, N;
  int64_t C() const { return H * N; }
  Shape x() const { return {R, C()}; }
};

const std::vector<std::string> kRowInputs{"k0", "w_lora", "a_lora", "v0_in", "v_lora", "v_first"};
const std::vector<std::string> kParameters{"w0", "a0", "v0", "k_k", "k_a"};

OpCase forward_case(const Sizes& s) {
  OpCase c;
  for (const auto& name : kRowInputs) c.in(name, s.x());
  for (const auto& name : kParameters) c.in(name, {s.C()});
  for (const char* name : {"w", "k", "a", "b", "v"}) c.out(name, s.x());
  c.call = [N = s.N](const Exec& ex, const Tensors& t) {
    run(ex, Rwkv7PrepareForward{.N = N,
                                .k0 = t("k0"),
                                .w_lora = t("w_lora"),
                                .a_lora = t("a_lora"),
                                .v0_in = t("v0_in"),
                                .v_lora = t("v_lora"),
                                .v_first = t("v_first"),
                                .w0 = t("w0"),
                                .a0 = t("a0"),
                                .v0 = t("v0"),
                                .k_k = t("k_k"),
                                .k_a = t("k_a"),
                                .w = t("w"),
                                .k = t("k"),
                                .a = t("a"),
                                .b = t("b"),
                                .v = t("v")});
  };
  return c;
}

OpCase backward_case(const Sizes& s) {
  OpCase c;
  for (const auto& name : kRowInputs) {
    if (name != "w_lora") c.in(name, s.x());
  }
  for (const auto& name : kParameters) {
    if (name != "w0") c.in(name, {s.C()});
  }
  for (const char* name : {"dw", "dk", "da", "db", "dv"}) c.in(name, s.x());
  for (const char* name : {"dw_lora", "da_lora", "dk0", "dv0_in", "dv_lora"}) c.out(name, s.x());
  c.inout("dv_first", s.x(), Held::sum);
  for (const auto& name : kParameters) c.inout("d" + name, {s.C()}, Held::sum);
  c.call = [N = s.N](const Exec& ex, const Tensors& t) {
    run(ex, Rwkv7PrepareBackward{.N = N,
                                 .k0 = t("k0"),
                                 .a_lora = t("a_lora"),
                                 .v0_in = t("v0_in"),
                                 .v_lora = t("v_lora"),
                                 .v_first = t("v_first"),
                                 .a0 = t("a0"),
                                 .v0 = t("v0"),
                                 .k_k = t("k_k"),
                                 .k_a = t("k_a"),
                                 .dw = t("dw"),
                                 .dk = t("dk"),
                                 .da = t("da"),
                                 .db = t("db"),
                                 .dv = t("dv"),
                                 .dw_lora = t("dw_lora"),
                                 .da_lora = t("da_lora"),
                                 .dk0 = t("dk0"),
                                 .dv0_in = t("dv0_in"),
                                 .dv_lora = t("dv_lora"),
                                 .dv_first = t("dv_first"),
                                 .dw0 = t("dw0"),
                                 .da0 = t("da0"),
                                 .dv0 = t("dv0"),
                                 .dk_k = t("dk_k"),
                                 .dk_a = t("dk_a")});
  };
  return c;
}

// Layer 0 has no value residual.
OpCase first_layer_forward(const Sizes& s) {
  return forward_case(s).without("v0_in").without("v_lora").without("v_first").without("v0").without("v");
}
OpCase first_layer_backward(const Sizes& s) {
  OpCase c = backward_case(s);
  for (const char* name : {"v0_in", "v_lora", "v_first", "v0", "dv", "dv0_in", "dv_lora", "dv_first", "dv0"}) c = c.without(name);
  return c;
}

GradientCase gradient_case(const Sizes& s) {
  GradientCase g{.forward = forward_case(s), .backward = backward_case(s), .seeds = {}, .gradients = {}};
  for (const char* name : {"w", "k", "a", "b", "v"}) g.seeds[name] = std::string("d") + name;
  for (const auto& name : kRowInputs) g.gradients[name] = "d" + name;
  for (const auto& name : kParameters) g.gradients[name] = "d" + name;
  return g;
}

const Sizes kSizes[] = {{1, 1, 8}, {7, 2, 16}, {65, 1, 64}, {17, 1, 128}, {3, 3, 72}};

TEST(Rwkv7Prepare, GradientsAreFiniteDifferences) {
  for (const Sizes& s : kSizes) expect_gradients(gradient_case(s));
}

TEST(Rwkv7Prepare, FirstLayer) {
  const Sizes s{7, 2, 16};
  GradientCase g = gradient_case(s);
  g.forward = first_layer_forward(s);
  g.backward = first_layer_backward(s);
  g.seeds.erase("v");
  for (const char* name : {"v0_in", "v_lora", "v_first", "v0"}) g.gradients.erase(name);
  expect_gradients(g);
}

// Where the product added w0, the operator neither forms w nor copies its gradient; it still sums the gradient of w0.
TEST(Rwkv7Prepare, DecayFormedElsewhere) {
  const Sizes s{7, 2, 16};
  const OpCase forward = forward_case(s), backward = backward_case(s);
  Values all = run_case(forward, DType::f32);
  all.erase("w");
  EXPECT_EQ(run_case(forward.without("w").without("w_lora").without("w0"), DType::f32), all);
  Values gradients = run_case(backward, DType::f32);
  gradients.erase("dw_lora");
  EXPECT_EQ(run_case(backward.without("dw_lora"), DType::f32), gradients);
}

TEST(Rwkv7Prepare, ZeroKeysStandOnTheFloorOfTheNorm) {
  const Sizes s{2, 1, 8};
  OpCase forward = forward_case(s), backward = backward_case(s);
  std::fill_n(forward.slot("k0").values.begin(), 8, 0.0);
  std::fill_n(backward.slot("k0").values.begin(), 8, 0.0);
  const Values y = run_case(forward, DType::f64), g = run_case(backward, DType::f64);
  for (size_t j = 0; j < 8; ++j) {
    EXPECT_EQ(y.at("a")[j], 0);
    const double alpha = 1 / (1 + std::exp(-backward.slot("a0").values[j] - backward.slot("a_lora").values[j]));
    const double du = (backward.slot("db").values[j] * alpha - backward.slot("da").values[j]) / 1e-12;
    const double direct = backward.slot("dk").values[j] * (1 + (alpha - 1) * backward.slot("k_a").values[j]);
    EXPECT_NEAR(g.at("dk0")[j], direct + du * backward.slot("k_k").values[j], 1e-12 * std::fabs(du) + 1e-12);
  }
}

TEST(Rwkv7Prepare, OtherTypesAndThreads) {
  for (const Sizes& s : {Sizes{65, 1, 64}, {7, 2, 24}, {300, 5, 64}, {3, 2, 256}, {9, 33, 8}}) {
    expect_close_to_double(forward_case(s));
    expect_close_to_double(backward_case(s));
  }
  expect_close_to_double(first_layer_forward({65, 5, 64}));
  expect_close_to_double(first_layer_backward({65, 5, 64}));
  expect_close_to_double(first_layer_forward({7, 2, 16}).without("w").without("w_lora").without("w0"));
  expect_close_to_double(backward_case({7, 2, 16}).without("dw_lora"));
  expect_same_bits_for_threads(forward_case({300, 2, 64}));
  expect_same_bits_for_threads(backward_case({300, 2, 64}));
}

TEST(Rwkv7Prepare, GradientsOverIncomingGradients) {
  const OpCase c = backward_case({7, 2, 16});
  for (const auto& [output, input] : std::map<std::string, std::string>{
           {"dw_lora", "dw"}, {"da_lora", "da"}, {"dk0", "dk"}, {"dv0_in", "dv"}, {"dv_lora", "dv"}, {"dk0", "db"}}) {
    expect_alias(c, output, input);
  }
}

TEST(Rwkv7Prepare, FrozenParameters) {
  OpCase c = backward_case({7, 2, 16});
  for (const auto& name : kParameters) c = c.without("d" + name);
  EXPECT_EQ(run_case(c, DType::f32).at("dk0"), run_case(backward_case({7, 2, 16}), DType::f32).at("dk0"));
}

}  // namespace
}  // namespace rk::test
