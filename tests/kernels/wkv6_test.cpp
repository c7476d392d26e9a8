#include "support/documents.h"
#include "support/wkv6_calls.h"

namespace rk::test {
namespace {

// The two forms of w: every token's own (WKV-6), one for all (WKV-5).
enum class Decay { of_tokens, of_heads };

struct Sizes {
  int64_t B, T, H, N;
  Shape x() const { return {B, T, H, N}; }
  Shape state() const { return {B, H, N, N}; }
  Shape parameter() const { return {H, N}; }
};

OpCase inputs(const Sizes& s, Decay decay) {
  const Shape shape = decay == Decay::of_tokens ? s.x() : s.parameter();
  OpCase c;
  c.in("r", s.x()).in("w", shape, Held::model, random_values("w", shape.numel(), 1.5, -1.5)).in("k", s.x()).in("v", s.x());
  return c.in("u", s.parameter());
}

OpCase forward_case(const Sizes& s, Decay decay) {
  OpCase c = inputs(s, decay);
  c.in("state_in", s.state(), Held::sum).out("y", s.x()).out("state_out", s.state(), Held::sum);
  c.call = [](const Exec& ex, const Tensors& t) { run(ex, wkv6_forward(t, t("y"), {})); };
  return c;
}

OpCase backward_case(const Sizes& s, Decay decay) {
  OpCase c = inputs(s, decay);
  c.in("state_in", s.state(), Held::sum).in("dy", s.x()).in("dstate_out", s.state(), Held::sum);
  for (const char* name : {"dr", "dk", "dv"}) c.out(name, s.x());
  if (decay == Decay::of_tokens) c.out("dw", s.x());
  if (decay == Decay::of_heads) c.inout("dw", s.parameter(), Held::sum);
  c.inout("du", s.parameter(), Held::sum).out("dstate_in", s.state(), Held::sum);
  c.call = run_wkv6_both;
  return c;
}

GradientCase gradient_case(const Sizes& s, Decay decay) {
  GradientCase g{.forward = forward_case(s, decay), .backward = backward_case(s, decay), .seeds = {}, .gradients = {}};
  g.seeds = {{"y", "dy"}, {"state_out", "dstate_out"}};
  g.gradients = {{"r", "dr"}, {"w", "dw"}, {"k", "dk"}, {"v", "dv"}, {"u", "du"}, {"state_in", "dstate_in"}};
  return g;
}

const Decay kDecays[] = {Decay::of_tokens, Decay::of_heads};
const Sizes kSizes[] = {{1, 1, 1, 8},   {2, 7, 2, 16},  {1, 2, 1, 64}, {1, 3, 2, 32},  {1, 15, 1, 24}, {2, 16, 1, 64},
                        {1, 17, 2, 64}, {1, 100, 1, 8}, {1, 5, 1, 72}, {1, 5, 1, 128}, {1, 2, 1, 200}, {1, 1, 1, 256}};

TEST(Wkv6, GradientsAreFiniteDifferences) {
  for (Decay decay : kDecays)
    for (const Sizes& s : kSizes) expect_gradients(gradient_case(s, decay));
}

TEST(Wkv6, GradientsWithoutStates) {
  const Sizes s{2, 17, 1, 16};
  for (Decay decay : kDecays) {
    GradientCase g = gradient_case(s, decay);
    g.forward = g.forward.without("state_in").without("state_out");
    g.backward = g.backward.without("state_in").without("dstate_out").without("dstate_in");
    g.seeds.erase("state_out");
    g.gradients.erase("state_in");
    expect_gradients(g);
  }
}

TEST(Wkv6, ParametersThatAreNotTrained) {
  const Sizes s{2, 70, 2, 64};
  const OpCase all = backward_case(s, Decay::of_heads);
  for (DType dtype : {DType::f64, DType::bf16})
    for (Device device : {Device::cpu, Device::cuda}) {
      if (device == Device::cuda && (dtype == DType::f64 || !has_gpu())) continue;
      const Values expected = run_case(all, dtype, device);
      for (const char* name : {"dw", "du"})
        for (const auto& [output, values] : run_case(all.without(name), dtype, device)) EXPECT_EQ(values, expected.at(output)) << output;
    }
}

// The definition, written as plainly as it can be.
std::vector<double> plain_recurrence(const Sizes& s, OpCase c) {
  const auto value = [&](const char* name) -> const std::vector<double>& { return c.slot(name).values; };
  std::vector<double> y(static_cast<size_t>(s.x().numel()));
  const auto N = static_cast<size_t>(s.N), H = static_cast<size_t>(s.H), T = static_cast<size_t>(s.T);
  const bool of_heads = value("w").size() == H * N;
  for (size_t bh = 0; bh < static_cast<size_t>(s.B) * H; ++bh) {
    std::vector<double> S(value("state_in").begin() + static_cast<int64_t>(bh * N * N),
                          value("state_in").begin() + static_cast<int64_t>((bh + 1) * N * N));
    for (size_t t = 0; t < T; ++t) {
      const size_t head = bh % H * N, o = (bh / H * T + t) * H * N + head;
      for (size_t i = 0; i < N; ++i)
        for (size_t j = 0; j < N; ++j) {
          const double kv = value("k")[o + j] * value("v")[o + i];
          y[o + i] += value("r")[o + j] * (S[i * N + j] + value("u")[head + j] * kv);
          S[i * N + j] = S[i * N + j] * std::exp(-std::exp(value("w")[(of_heads ? head : o) + j])) + kv;
        }
    }
  }
  return y;
}

TEST(Wkv6, ForwardIsTheRecurrence) {
  for (Decay decay : kDecays)
    for (const Sizes& s : kSizes) {
      const OpCase c = forward_case(s, decay);
      EXPECT_LE(relative_difference(run_case(c, DType::f64).at("y"), plain_recurrence(s, c)), 1e-13);
    }
}

TEST(Wkv6, OtherTypes) {
  for (Decay decay : kDecays)
    for (const Sizes& s : {Sizes{2, 33, 2, 64}, {1, 20, 1, 24}, {1, 9, 1, 32}, {2, 5, 1, 136}}) {
      expect_close_to_double(forward_case(s, decay));
      expect_close_to_double(backward_case(s, decay));
    }
}

TEST(Wkv6, ThreadsDoNotChangeBits) {
  for (Decay decay : kDecays) {
    expect_same_bits_for_threads(forward_case({2, 33, 2, 64}, decay));
    expect_same_bits_for_threads(backward_case({3, 33, 2, 64}, decay));
  }
}

TEST(Wkv6, SegmentsGiveTheWholeSequence) {
  const Sizes whole{1, 20, 1, 16}, part{1, 7, 1, 16}, rest{1, 13, 1, 16};
  OpCase all = forward_case(whole, Decay::of_tokens), first = forward_case(part, Decay::of_tokens);
  OpCase second = forward_case(rest, Decay::of_tokens);
  for (const char* name : {"r", "w", "k", "v"}) {
    const std::vector<double>& x = all.slot(name).values;
    first.slot(name).values.assign(x.begin(), x.begin() + 7 * 16);
    second.slot(name).values.assign(x.begin() + 7 * 16, x.end());
  }
  second.slot("state_in").values = run_case(first, DType::f64).at("state_out");
  const Values expected = run_case(all, DType::f64), got = run_case(second, DType::f64);
  EXPECT_EQ(got.at("state_out"), expected.at("state_out"));
  EXPECT_EQ(got.at("y"), std::vector<double>(expected.at("y").begin() + 7 * 16, expected.at("y").end()));
}

TEST(Wkv6, DocumentsAreSequencesOfTheirOwn) {
  size_t pattern = 0;
  for (int64_t N : {8, 32, 64})
    for (int64_t T : {1, 7, 17, 33, 100}) {
      const int64_t B = T == 100 ? 3 : 2, H = T == 100 ? 1 : 2;
      for (int i = 0; i < 3; ++i, pattern += 2) {
        const Decay decay = kDecays[i % 2];
        const auto forward = [&](int64_t b, int64_t t) { return forward_case({b, t, H, N}, decay); };
        const auto backward = [&](int64_t b, int64_t t) { return backward_case({b, t, H, N}, decay); };
        const Flags flags = document_flags(B, T, pattern);
        GpuLimits limits;
        if (N == 64 && T > 7) limits = {i == 0 ? 1e-5 : 0, 2.6e-3, i == 1 ? 2e-3 : 0};
        if (N < 64 && i == 0 && (T == 7 || T == 33)) limits = {1e-5, 2.6e-3, 2e-3};
        expect_documents(forward, B, T, flags, limits, cat("N = ", N, ", T = ", T, ", pattern ", pattern));
        expect_documents(backward, B, T, flags, limits, cat("N = ", N, ", T = ", T, ", pattern ", pattern));
      }
    }
}

TEST(Wkv6, GradientsWithResetsAreFiniteDifferences) {
  for (const auto& [s, pattern] : {std::pair{Sizes{2, 7, 2, 16}, size_t{1}}, {Sizes{1, 33, 1, 8}, 6}, {Sizes{2, 20, 1, 8}, 4}})
    for (Decay decay : kDecays) expect_gradients(with_resets(gradient_case(s, decay), s.B, s.T, document_flags(s.B, s.T, pattern)));
}

// Flags that are all zero change no bits.
TEST(Wkv6, NoResetsAmongTheFlags) {
  const Sizes s{2, 70, 2, 64};
  for (const OpCase& plain : {forward_case(s, Decay::of_tokens), backward_case(s, Decay::of_heads)}) {
    const OpCase flagged = with_resets(plain, s.B, s.T, Flags(static_cast<size_t>(s.B * s.T)));
    for (DType dtype : {DType::f64, DType::bf16}) EXPECT_EQ(run_case(flagged, dtype), run_case(plain, dtype));
    if (!has_gpu()) continue;
    for (DType dtype : {DType::f32, DType::bf16, DType::f16})
      EXPECT_TRUE(same_values(run_case(flagged, dtype, Device::cuda), run_case(plain, dtype, Device::cuda))) << name_of(dtype);
  }
}

TEST(Wkv6, StateInPlace) { expect_alias(forward_case({2, 17, 2, 64}, Decay::of_tokens), "state_out", "state_in"); }

TEST(Wkv6, RefusesHeadSizes) {
  EXPECT_THROW(run_case(forward_case({1, 1, 1, 12}, Decay::of_tokens), DType::f32), Error);
  EXPECT_THROW(run_case(forward_case({1, 1, 1, 264}, Decay::of_tokens), DType::f32), Error);
}

}  // namespace
}  // namespace rk::test
