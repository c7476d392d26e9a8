#include "kernels/group_norm_gate/op.h"

#include "support/op_case.h"

namespace rk::test {
namespace {

struct Sizes {
  int64_t R, H, N;
  int64_t C() const { return H * N; }
  Shape x() const { return {R, C()}; }
};

OpCase forward_case(const Sizes& s, Gate f) {
  OpCase c;
  c.in("y", s.x()).in("g", s.x()).in("weight", {s.C()}).in("bias", {s.C()}).out("out", s.x());
  c.call = [N = s.N, f](const Exec& ex, const Tensors& t) {
    run(ex, GroupNormGateForward{.N = N, .f = f, .y = t("y"), .g = t("g"), .weight = t("weight"), .bias = t("bias"), .out = t("out")});
  };
  return c;
}

OpCase backward_case(const Sizes& s, Gate f) {
  OpCase c;
  c.in("y", s.x()).in("g", s.x()).in("dout", s.x()).in("weight", {s.C()}).in("bias", {s.C()});
  c.out("dy", s.x()).out("dg", s.x()).out("out", s.x());
  c.inout("dweight", {s.C()}, Held::sum).inout("dbias", {s.C()}, Held::sum);
  c.call = [N = s.N, f](const Exec& ex, const Tensors& t) {
    run(ex, GroupNormGateBackward{.N = N,
                                  .f = f,
                                  .y = t("y"),
                                  .g = t("g"),
                                  .weight = t("weight"),
                                  .bias = t("bias"),
                                  .dout = t("dout"),
                                  .out = t("out"),
                                  .dy = t("dy"),
                                  .dg = t("dg"),
                                  .dweight = t("dweight"),
                                  .dbias = t("dbias")});
  };
  return c;
}

TEST(GroupNormGate, GradientsAreFiniteDifferences) {
  for (Gate f : {Gate::silu, Gate::identity}) {
    for (const Sizes& s : {Sizes{1, 1, 8}, {7, 2, 16}, {65, 1, 64}, {17, 1, 128}, {3, 3, 72}, {5, 4, 5}}) {
      GradientCase g{.forward = forward_case(s, f), .backward = backward_case(s, f), .seeds = {{"out", "dout"}}, .gradients = {}};
      for (const char* name : {"y", "g", "weight", "bias"}) g.gradients[name] = std::string("d") + name;
      expect_gradients(g);
    }
  }
}

TEST(GroupNormGate, OtherTypesAndThreads) {
  for (Gate f : {Gate::silu, Gate::identity}) {
    for (const Sizes& s : {Sizes{65, 1, 64}, {7, 2, 24}, {300, 5, 64}, {3, 2, 256}, {9, 33, 8}}) {
      expect_close_to_double(forward_case(s, f));
      expect_close_to_double(backward_case(s, f));
    }
  }
  expect_close_to_double(backward_case({65, 5, 64}, Gate::silu).without("out"));
  expect_same_bits_for_threads(forward_case({300, 2, 64}, Gate::silu));
  expect_same_bits_for_threads(backward_case({300, 2, 64}, Gate::silu));
}

TEST(GroupNormGate, BackwardFormsTheOutputAgain) {
  for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    const OpCase forward = forward_case({7, 2, 16}, Gate::silu), backward = backward_case({7, 2, 16}, Gate::silu);
    EXPECT_EQ(run_case(backward, dtype).at("out"), run_case(forward, dtype).at("out"));
    Values rest = run_case(backward, dtype);
    rest.erase("out");
    EXPECT_EQ(run_case(backward.without("out"), dtype), rest);
  }
}

// exp of these gates overflows; their silu is 0 or the gate itself.
TEST(GroupNormGate, GatesThatAreWideOpenOrShut) {
  const Sizes s{3, 2, 16};
  std::vector<double> gates(static_cast<size_t>(s.R * s.C()), 0.0);
  for (size_t i = 0; i < gates.size(); ++i) gates[i] = i % 3 == 0 ? -200 : (i % 3 == 1 ? 200 : 0.5);
  OpCase forward = forward_case(s, Gate::silu), backward = backward_case(s, Gate::silu);
  forward.slot("g").values = backward.slot("g").values = gates;
  expect_close_to_double(forward);
  expect_close_to_double(backward);
}

TEST(GroupNormGate, GateGradientInPlaceAndFrozenParameters) {
  const OpCase c = backward_case({7, 2, 16}, Gate::silu);
  expect_alias(c, "dg", "dout");
  const OpCase frozen = c.without("dweight").without("dbias");
  EXPECT_EQ(run_case(frozen, DType::f32).at("dy"), run_case(c, DType::f32).at("dy"));
}

}  // namespace
}  // namespace rk::test
