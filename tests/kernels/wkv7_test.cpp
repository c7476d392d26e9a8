#include "kernels/wkv7/op.h"

#include <limits>

#include "support/documents.h"

namespace rk::test {
namespace {

struct Sizes {
  int64_t B, T, H, N;
  Shape x() const { return {B, T, H, N}; }
  Shape state() const { return {B, H, N, N}; }
};

// Values of a model's size: |a|, |b| at most about 1 per head.
OpCase inputs(const Sizes& s) {
  OpCase c;
  const int64_t n = s.x().numel();
  const double unit = 1 / std::sqrt(static_cast<double>(s.N));
  c.in("r", s.x()).in("w", s.x(), Held::model, random_values("w", n, 2, -1)).in("k", s.x()).in("v", s.x());
  c.in("a", s.x(), Held::model, random_values("a", n, 0.7 * unit)).in("b", s.x(), Held::model, random_values("b", n, 0.7 * unit));
  return c;
}

Wkv7Forward forward_of(const Tensors& t, const Tensor& y, const Tensor& saved) {
  return {.r = t("r"),
          .w = t("w"),
          .k = t("k"),
          .v = t("v"),
          .a = t("a"),
          .b = t("b"),
          .y = y,
          .state_in = t("state_in"),
          .state_out = t("state_out"),
          .saved_states = saved,
          .resets = t("resets")};
}

OpCase forward_case(const Sizes& s) {
  OpCase c = inputs(s);
  c.in("state_in", s.state(), Held::sum).out("y", s.x()).out("state_out", s.state(), Held::sum);
  c.call = [](const Exec& ex, const Tensors& t) { run(ex, forward_of(t, t("y"), {})); };
  return c;
}

// Forward, whose saved states are nobody else's business, then backward.
OpCase backward_case(const Sizes& s) {
  OpCase c = inputs(s);
  c.in("state_in", s.state(), Held::sum).in("dy", s.x()).in("dstate_out", s.state(), Held::sum);
  for (const char* name : {"dr", "dw", "dk", "dv", "da", "db"}) c.out(name, s.x());
  c.out("dstate_in", s.state(), Held::sum);
  c.call = [](const Exec& ex, const Tensors& t) {
    const ArenaScope scope(*ex.scratch);
    const Tensor saved = take_wkv7_saved(ex, *ex.scratch, t("r").dtype, t("r").shape);
    const Tensor y = ex.scratch->take(t("r").dtype, t("r").shape);
    run(ex, forward_of(t, y, saved));
    run(ex, Wkv7Backward{.r = t("r"),
                         .w = t("w"),
                         .k = t("k"),
                         .v = t("v"),
                         .a = t("a"),
                         .b = t("b"),
                         .saved_states = saved,
                         .dy = t("dy"),
                         .dstate_out = t("dstate_out"),
                         .dr = t("dr"),
                         .dw = t("dw"),
                         .dk = t("dk"),
                         .dv = t("dv"),
                         .da = t("da"),
                         .db = t("db"),
                         .dstate_in = t("dstate_in"),
                         .dr_more = t("dr_more"),
                         .dk_more = t("dk_more"),
                         .dv_more = t("dv_more"),
                         .resets = t("resets")});
  };
  return c;
}

GradientCase gradient_case(const Sizes& s) {
  GradientCase g{.forward = forward_case(s), .backward = backward_case(s), .seeds = {}, .gradients = {}};
  g.seeds = {{"y", "dy"}, {"state_out", "dstate_out"}};
  for (const char* name : {"r", "w", "k", "v", "a", "b", "state_in"}) g.gradients[name] = std::string("d") + name;
  g.gradients.erase("state_in");
  g.gradients["state_in"] = "dstate_in";
  return g;
}

const Sizes kSizes[] = {{1, 1, 1, 8},   {2, 7, 2, 16},  {1, 15, 1, 24}, {2, 16, 1, 64}, {1, 17, 2, 64},
                        {1, 100, 1, 8}, {1, 33, 1, 72}, {1, 5, 1, 128}, {1, 2, 1, 200}, {1, 1, 1, 256}};

TEST(Wkv7, GradientsAreFiniteDifferences) {
  for (const Sizes& s : kSizes) expect_gradients(gradient_case(s));
}

TEST(Wkv7, GradientsWithoutStates) {
  const Sizes s{2, 17, 1, 16};
  GradientCase g = gradient_case(s);
  g.forward = g.forward.without("state_in").without("state_out");
  g.backward = g.backward.without("state_in").without("dstate_out").without("dstate_in");
  g.seeds.erase("state_out");
  g.gradients.erase("state_in");
  expect_gradients(g);
}

TEST(Wkv7, AddsToGradientsBeforeRounding) {
  const Sizes s{2, 17, 2, 16};
  const OpCase plain = backward_case(s);
  OpCase more = plain;
  for (const char* name : {"dr_more", "dk_more", "dv_more"}) more.in(name, s.x());
  Values sum = run_case(plain, DType::f64);
  for (const char* name : {"dr", "dk", "dv"}) {
    const std::vector<double>& add = more.slot(cat(name, "_more")).values;
    for (size_t i = 0; i < add.size(); ++i) sum[name][i] += add[i];
  }
  expect_close(run_case(more, DType::f64), sum, 1e-14, "f64");
  expect_close(run_case(more, DType::bf16), sum, 4e-3, "bf16");
  for (const char* name : {"dr", "dk", "dv"}) expect_alias(more, name, cat(name, "_more"));
}

// The definition, written as plainly as it can be.
std::vector<double> plain_recurrence(const Sizes& s, OpCase c) {
  const auto value = [&](const char* name) -> const std::vector<double>& { return c.slot(name).values; };
  std::vector<double> y(static_cast<size_t>(s.x().numel()));
  const auto N = static_cast<size_t>(s.N), H = static_cast<size_t>(s.H), T = static_cast<size_t>(s.T);
  for (size_t bh = 0; bh < static_cast<size_t>(s.B) * H; ++bh) {
    std::vector<double> S(value("state_in").begin() + static_cast<int64_t>(bh * N * N),
                          value("state_in").begin() + static_cast<int64_t>((bh + 1) * N * N));
    for (size_t t = 0; t < T; ++t) {
      const size_t o = ((bh / H * T + t) * H + bh % H) * N;
      for (size_t i = 0; i < N; ++i) {
        double sa = 0;
        for (size_t j = 0; j < N; ++j) sa += S[i * N + j] * value("a")[o + j];
        for (size_t j = 0; j < N; ++j) {
          const double decay = std::exp(-std::exp(-0.5) / (1 + std::exp(-value("w")[o + j])));
          S[i * N + j] = S[i * N + j] * decay + sa * value("b")[o + j] + value("v")[o + i] * value("k")[o + j];
          y[o + i] += S[i * N + j] * value("r")[o + j];
        }
      }
    }
  }
  return y;
}

TEST(Wkv7, ForwardIsTheRecurrence) {
  for (const Sizes& s : kSizes) {
    const OpCase c = forward_case(s);
    EXPECT_LE(relative_difference(run_case(c, DType::f64).at("y"), plain_recurrence(s, c)), 1e-13);
  }
}

TEST(Wkv7, OtherTypes) {
  for (const Sizes& s : {Sizes{2, 33, 2, 64}, {1, 20, 1, 24}}) {
    expect_close_to_double(forward_case(s));
    expect_close_to_double(backward_case(s));
  }
}

// Chunks of 32 tokens on a GPU: part of one, one, one and a bit, several; with and without states.
TEST(Wkv7, LengthsOnGpu) {
  if (!has_gpu()) GTEST_SKIP() << "no GPU";
  for (int64_t T : {1, 7, 16, 33, 64, 100, 128}) {
    const Sizes s{1, T, 2, 64};
    const OpCase forward = forward_case(s), backward = backward_case(s);
    const OpCase bare = backward.without("state_in").without("dstate_out").without("dstate_in");
    for (const OpCase& c : {forward, backward, bare}) {
      if (T == 1 && c.slots.size() == bare.slots.size()) continue;  // dw is zero: nothing to compare with
      expect_close(run_twice_on_gpu(c, DType::bf16), run_case(c, DType::f64), 2.6e-3, cat("bf16, T = ", T));
      expect_close(run_twice_on_gpu(c, DType::f16), run_case(c, DType::f64), 2e-3, cat("f16, T = ", T));
    }
  }
}

TEST(Wkv7, SizesOfNumbersOnGpu) {
  if (!has_gpu()) GTEST_SKIP() << "no GPU";
  const Sizes s{1, 70, 1, 64};
  OpCase huge = backward_case(s), zero = huge;
  for (const auto& [name, factor] : {std::pair{"r", 40.0}, {"k", 40.0}, {"v", 40.0}, {"dy", 1e-7}, {"dstate_out", 1e-6}}) {
    for (double& x : huge.slot(name).values) x = static_cast<double>(bf16(static_cast<float>(x * factor)));
  }
  expect_close(run_twice_on_gpu(huge, DType::bf16), run_case(huge, DType::f64), 3e-3, "large inputs, small gradients");
  for (const char* name : {"k", "v", "a", "b", "dy", "state_in", "dstate_out"}) {
    for (double& x : zero.slot(name).values) x = 0;
  }
  for (const auto& [name, values] : run_twice_on_gpu(zero, DType::bf16)) {
    for (double x : values) ASSERT_EQ(x, 0) << name;
  }
}

// What is not finite in one head comes out as NaN from there on, and stays in that head.
TEST(Wkv7, NotFiniteOnGpu) {
  if (!has_gpu()) GTEST_SKIP() << "no GPU";
  const Sizes s{1, 70, 2, 64};
  const size_t bad = (40 * 2 + 0) * 64 + 5;
  for (double value : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    for (const char* name : {"r", "w", "k", "v", "a", "b"}) {
      if (name == std::string("w") && std::isinf(value)) continue;  // a decay of exp(-exp(-1/2))
      OpCase forward = forward_case(s), backward = backward_case(s);
      forward.slot(name).values[bad] = value;
      backward.slot(name).values[bad] = value;
      Values got = run_twice_on_gpu(forward, DType::bf16), gradients = run_twice_on_gpu(backward, DType::bf16);
      const auto count = [&](const std::string& output, size_t head) {
        const std::vector<double>& x = output == "y" || output == "state_out" ? got.at(output) : gradients.at(output);
        size_t n = 0;
        for (size_t i = 0; i < x.size(); ++i) {
          const size_t its_head = x.size() == 2 * 64 * 64 ? i / (64 * 64) : i / 64 % 2;
          n += its_head == head && !std::isfinite(x[i]);
        }
        return n;
      };
      EXPECT_GT(count("y", 0), 0u) << name;
      EXPECT_GT(count(name == std::string("v") ? "dk" : "dv", 0), 0u) << name;
      if (name != std::string("r")) {
        EXPECT_GT(count("state_out", 0), 0u) << name;
      }
      for (const char* output : {"y", "state_out", "dr", "dw", "dk", "dv", "da", "db", "dstate_in"})
        EXPECT_EQ(count(output, 1), 0u) << output;
    }
  }
}

TEST(Wkv7, ThreadsDoNotChangeBits) {
  expect_same_bits_for_threads(forward_case({2, 33, 2, 64}));
  expect_same_bits_for_threads(backward_case({2, 33, 2, 64}));
}

TEST(Wkv7, SegmentsGiveTheWholeSequence) {
  const Sizes whole{1, 20, 1, 16}, part{1, 7, 1, 16}, rest{1, 13, 1, 16};
  OpCase all = forward_case(whole), first = forward_case(part), second = forward_case(rest);
  for (const char* name : {"r", "w", "k", "v", "a", "b"}) {
    const std::vector<double>& x = all.slot(name).values;
    first.slot(name).values.assign(x.begin(), x.begin() + 7 * 16);
    second.slot(name).values.assign(x.begin() + 7 * 16, x.end());
  }
  second.slot("state_in").values = run_case(first, DType::f64).at("state_out");
  const Values expected = run_case(all, DType::f64), got = run_case(second, DType::f64);
  EXPECT_EQ(got.at("state_out"), expected.at("state_out"));
  EXPECT_EQ(got.at("y"), std::vector<double>(expected.at("y").begin() + 7 * 16, expected.at("y").end()));
}

TEST(Wkv7, DocumentsAreSequencesOfTheirOwn) {
  size_t pattern = 0;
  for (int64_t N : {8, 32, 64})
    for (int64_t T : {1, 7, 16, 17, 33, 100}) {
      const int64_t B = T == 100 ? 3 : 2, H = T == 100 ? 1 : 2;
      const auto forward = [&](int64_t b, int64_t t) { return forward_case({b, t, H, N}); };
      const auto backward = [&](int64_t b, int64_t t) { return backward_case({b, t, H, N}); };
      for (int i = 0; i < 3; ++i, pattern += 2) {
        const Flags flags = document_flags(B, T, pattern);
        GpuLimits limits;
        if (N == 64 && T > 16) limits = {i == 0 ? 1e-5 : 0, 2.6e-3, i == 1 ? 2e-3 : 0};
        if (N < 64 && i == 0 && (T == 7 || T == 33)) limits = {1e-5, 2.6e-3, 2e-3};
        expect_documents(forward, B, T, flags, limits, cat("N = ", N, ", T = ", T, ", pattern ", pattern));
        expect_documents(backward, B, T, flags, limits, cat("N = ", N, ", T = ", T, ", pattern ", pattern));
      }
    }
}

TEST(Wkv7, GradientsWithResetsAreFiniteDifferences) {
  for (const auto& [s, pattern] : {std::pair{Sizes{2, 7, 2, 16}, size_t{1}}, {Sizes{1, 33, 1, 8}, 6}, {Sizes{2, 20, 1, 8}, 4}}) {
    expect_gradients(with_resets(gradient_case(s), s.B, s.T, document_flags(s.B, s.T, pattern)));
  }
}

// Flags that are all zero change no bits.
TEST(Wkv7, NoResetsAmongTheFlags) {
  const Sizes s{2, 70, 2, 64};
  for (const OpCase& plain : {forward_case(s), backward_case(s)}) {
    const OpCase flagged = with_resets(plain, s.B, s.T, Flags(static_cast<size_t>(s.B * s.T)));
    for (DType dtype : {DType::f64, DType::bf16}) EXPECT_EQ(run_case(flagged, dtype), run_case(plain, dtype));
    if (!has_gpu()) continue;
    for (DType dtype : {DType::f32, DType::bf16, DType::f16})
      EXPECT_TRUE(same_values(run_case(flagged, dtype, Device::cuda), run_case(plain, dtype, Device::cuda))) << name_of(dtype);
  }
}

TEST(Wkv7, ResetsWithThreads) {
  const Sizes s{2, 33, 2, 64};
  for (const OpCase& c : {forward_case(s), backward_case(s)})
    expect_same_bits_for_threads(with_resets(c, s.B, s.T, document_flags(s.B, s.T, 1)));
}

TEST(Wkv7, StateInPlace) { expect_alias(forward_case({2, 17, 2, 64}), "state_out", "state_in"); }

TEST(Wkv7, RefusesHeadSizes) {
  EXPECT_THROW(run_case(forward_case({1, 1, 1, 12}), DType::f32), Error);
  EXPECT_THROW(run_case(forward_case({1, 1, 1, 264}), DType::f32), Error);
}

}  // namespace
}  // namespace rk::test
