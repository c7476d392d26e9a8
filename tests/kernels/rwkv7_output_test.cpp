#include "kernels/rwkv7_output/op.h"

#include "support/op_case.h"

namespace rk::test {
namespace {

struct Sizes {
  int64_t R, H, N;
  int64_t C() const { return H * N; }
  Shape x() const { return {R, C()}; }
};

OpCase forward_case(const Sizes& s) {
  OpCase c;
  for (const char* name : {"y", "r", "k", "v", "g"}) c.in(name, s.x());
  c.in("weight", {s.C()}).in("bias", {s.C()}).in("r_k", {s.H, s.N}).out("out", s.x());
  c.call = [N = s.N](const Exec& ex, const Tensors& t) {
    run(ex, Rwkv7OutputForward{.N = N,
                               .y = t("y"),
                               .r = t("r"),
                               .k = t("k"),
                               .v = t("v"),
                               .g = t("g"),
                               .weight = t("weight"),
                               .bias = t("bias"),
                               .r_k = t("r_k"),
                               .out = t("out")});
  };
  return c;
}

OpCase backward_case(const Sizes& s, bool add) {
  OpCase c;
  for (const char* name : {"y", "r", "k", "v", "g", "dout"}) c.in(name, s.x());
  c.in("weight", {s.C()}).in("bias", {s.C()}).in("r_k", {s.H, s.N}).out("dy", s.x()).out("dg", s.x()).out("out", s.x());
  for (const char* name : {"dr", "dk", "dv"}) {
    if (add) {
      c.inout(name, s.x());
    } else {
      c.out(name, s.x());
    }
  }
  c.inout("dweight", {s.C()}, Held::sum).inout("dbias", {s.C()}, Held::sum).inout("dr_k", {s.H, s.N}, Held::sum);
  c.call = [N = s.N, add](const Exec& ex, const Tensors& t) {
    run(ex, Rwkv7OutputBackward{.N = N,
                                .y = t("y"),
                                .r = t("r"),
                                .k = t("k"),
                                .v = t("v"),
                                .g = t("g"),
                                .weight = t("weight"),
                                .bias = t("bias"),
                                .r_k = t("r_k"),
                                .dout = t("dout"),
                                .out = t("out"),
                                .dy = t("dy"),
                                .dr = t("dr"),
                                .dk = t("dk"),
                                .dv = t("dv"),
                                .dg = t("dg"),
                                .add = add,
                                .dweight = t("dweight"),
                                .dbias = t("dbias"),
                                .dr_k = t("dr_k")});
  };
  return c;
}

TEST(Rwkv7Output, GradientsAreFiniteDifferences) {
  for (const Sizes& s : {Sizes{1, 1, 8}, {7, 2, 16}, {65, 1, 64}, {17, 1, 128}, {3, 3, 72}}) {
    for (bool add : {false, true}) {
      GradientCase g{.forward = forward_case(s), .backward = backward_case(s, add), .seeds = {{"out", "dout"}}, .gradients = {}};
      for (const char* name : {"y", "r", "k", "v", "g", "weight", "bias", "r_k"}) g.gradients[name] = std::string("d") + name;
      expect_gradients(g);
    }
  }
}

TEST(Rwkv7Output, OtherTypesAndThreads) {
  for (const Sizes& s : {Sizes{65, 1, 64}, {7, 2, 24}, {300, 5, 64}, {3, 2, 256}, {9, 33, 8}}) {
    expect_close_to_double(forward_case(s));
    expect_close_to_double(backward_case(s, true));
  }
  expect_close_to_double(backward_case({65, 5, 64}, false).without("out"));
  expect_same_bits_for_threads(forward_case({300, 2, 64}));
  expect_same_bits_for_threads(backward_case({300, 2, 64}, true));
}

TEST(Rwkv7Output, BackwardFormsTheOutputAgain) {
  for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    const OpCase forward = forward_case({7, 2, 16}), backward = backward_case({7, 2, 16}, true);
    EXPECT_EQ(run_case(backward, dtype).at("out"), run_case(forward, dtype).at("out"));
    Values rest = run_case(backward, dtype);
    rest.erase("out");
    EXPECT_EQ(run_case(backward.without("out"), dtype), rest);
  }
}

TEST(Rwkv7Output, GateGradientInPlaceAndFrozenParameters) {
  const OpCase c = backward_case({7, 2, 16}, false);
  expect_alias(c, "dg", "dout");
  const OpCase frozen = c.without("dweight").without("dbias").without("dr_k");
  EXPECT_EQ(run_case(frozen, DType::f32).at("dy"), run_case(c, DType::f32).at("dy"));
}

}  // namespace
}  // namespace rk::test
