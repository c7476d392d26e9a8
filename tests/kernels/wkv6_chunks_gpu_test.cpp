// WKV-5 and WKV-6 by chunks on a GPU, where numbers are hard on it: lengths around chunks and warps' tokens, decays from the slowest to
// those that leave nothing, magnitudes far from one, nothing at all, and what is not a number.
#include <limits>

#include "support/documents.h"
#include "support/wkv6_calls.h"

namespace rk::test {
namespace {

constexpr int64_t N = 64;

struct Regime {
  const char* name;
  double w_mean, w_spread;
  double size = 1, dy_size = 1;
  double dw_limit = 2.6e-3;  // 0: next to nothing, found by differences of sums of size 100
};
const Regime kRegimes[] = {{"usual", -2, 1.5},           {"slow", -8, 0.5},       {"fast", 1.5, 0.7, 1, 1, 1e-2},
                           {"mixed", -1, 4, 1, 1, 1e-2}, {"dead", 6, 1, 1, 1, 0}, {"large", -3, 1, 200, 1e-4},
                           {"small", -3, 1, 1e-3, 1e-7}};

// Forward, then backward; y and the end state are results, too.
OpCase whole_case(const Regime& g, int64_t B, int64_t T, int64_t H, bool of_heads) {
  const Shape x{B, T, H, N}, parameter{H, N}, state{B, H, N, N}, w = of_heads ? parameter : x;
  const int64_t n = x.numel();
  OpCase c;
  c.in("r", x, Held::model, random_values("r", n, g.size)).in("w", w, Held::model, random_values("w", w.numel(), g.w_spread, g.w_mean));
  c.in("k", x, Held::model, random_values("k", n, g.size)).in("v", x, Held::model, random_values("v", n, g.size)).in("u", parameter);
  c.in("dy", x, Held::model, random_values("dy", n, g.dy_size));
  c.in("state_in", state, Held::sum, random_values("state_in", state.numel(), 2 * g.size * g.size));
  c.in("dstate_out", state, Held::sum, random_values("dstate_out", state.numel(), 2 * g.size * g.dy_size));
  c.out("y", x).out("state_out", state, Held::sum).out("dr", x).out("dk", x).out("dv", x).out("dstate_in", state, Held::sum);
  const std::vector<double> zero(static_cast<size_t>(parameter.numel()));
  if (of_heads) c.inout("dw", parameter, Held::sum, zero);
  if (!of_heads) c.out("dw", x);
  c.inout("du", parameter, Held::sum, zero);
  c.call = run_wkv6_both;
  return c;
}

TEST(Wkv6Chunks, Lengths) {
  if (!has_gpu()) GTEST_SKIP() << "no GPU";
  for (int64_t T : {1, 2, 3, 16, 17, 64, 65, 150}) {
    const OpCase c = whole_case(kRegimes[0], 1, T, 2, T % 2 == 0);
    const OpCase bare = c.without("state_in").without("state_out").without("dstate_out").without("dstate_in");
    for (const OpCase& one : {c, bare}) {
      Values expected = run_case(one, DType::f64);
      if (&one != &c && T < 3) continue;  // dw is zero: nothing to compare with
      if (T < 3 && one.slots.size() == bare.slots.size()) continue;
      expect_close(run_twice_on_gpu(one, DType::bf16), expected, 2.6e-3, cat("bf16, T = ", T));
      expect_close(run_twice_on_gpu(one, DType::f16), expected, 6e-4, cat("f16, T = ", T));
    }
  }
}

TEST(Wkv6Chunks, Regimes) {
  if (!has_gpu()) GTEST_SKIP() << "no GPU";
  for (const Regime& g : kRegimes)
    for (bool of_heads : {false, true}) {
      const OpCase c = whole_case(g, 2, 140, 1, of_heads);
      Values got = run_twice_on_gpu(c, DType::bf16), expected = run_case(c, DType::f64);
      const std::vector<double> dw = expected.at("dw");
      if (g.dw_limit > 0) {
        EXPECT_LE(relative_difference(got.at("dw"), dw), g.dw_limit) << g.name;
      } else {
        for (size_t i = 0; i < dw.size(); ++i) ASSERT_NEAR(got.at("dw")[i], dw[i], 1e-2) << g.name;
      }
      expected.erase("dw");
      expect_close(got, expected, 2.6e-3, cat(g.name, of_heads ? ", one decay" : ""));
    }
}

TEST(Wkv6Chunks, NothingGivesNothing) {
  if (!has_gpu()) GTEST_SKIP() << "no GPU";
  OpCase zero = whole_case(kRegimes[0], 1, 70, 1, false);
  for (const char* name : {"k", "v", "dy", "state_in", "dstate_out"})
    for (double& x : zero.slot(name).values) x = 0;
  for (const auto& [name, values] : run_twice_on_gpu(zero, DType::bf16))
    for (double x : values) ASSERT_EQ(x, 0) << name;
}

// What is not finite in one head shows, and stays in that head.
TEST(Wkv6Chunks, NotFiniteStaysVisible) {
  if (!has_gpu()) GTEST_SKIP() << "no GPU";
  const size_t bad = (40 * 2 + 0) * 64 + 5;
  for (double value : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()})
    for (const char* name : {"r", "w", "k", "v"}) {
      if (name == std::string("w") && std::isinf(value)) continue;  // a decay of zero
      OpCase c = whole_case(kRegimes[0], 1, 70, 2, false);
      c.slot(name).values[bad] = value;
      const Values got = run_twice_on_gpu(c, DType::bf16);
      const auto count = [&](const std::string& output, size_t head) {
        const std::vector<double>& x = got.at(output);
        size_t n = 0;
        for (size_t i = 0; i < x.size(); ++i) n += (x.size() == 2 * 64 * 64 ? i / (64 * 64) : i / 64 % 2) == head && !std::isfinite(x[i]);
        return n;
      };
      EXPECT_GT(count("y", 0), 0u) << name;
      EXPECT_GT(count(name == std::string("v") ? "dk" : "dv", 0), 0u) << name;
      for (const char* output : {"y", "state_out", "dr", "dw", "dk", "dv", "du", "dstate_in"}) EXPECT_EQ(count(output, 1), 0u) << output;
    }
}

TEST(Wkv6Chunks, Documents) {
  if (!has_gpu()) GTEST_SKIP() << "no GPU";
  const int64_t B = 2, T = 140;
  for (size_t pattern : {3, 6})
    for (bool of_heads : {false, true})
      expect_documents([&](int64_t b, int64_t t) { return whole_case(kRegimes[0], b, t, 1, of_heads); }, B, T,
                       document_flags(B, T, pattern), {0, 2.6e-3, 6e-4}, cat("pattern ", pattern));
}

}  // namespace
}  // namespace rk::test
