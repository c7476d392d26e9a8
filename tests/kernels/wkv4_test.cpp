#include "kernels/wkv4/op.h"

#include "support/documents.h"

namespace rk::test {
namespace {

struct Sizes {
  int64_t B, T, A;
  Shape x() const { return {B, T, A}; }
  Shape state() const { return {B, A, 3}; }
  Shape sums() const { return {B, A, 2}; }
};

// Sums of weights are positive.
std::vector<double> sums_of(const std::string& name, int64_t n_channels) {
  const std::vector<double> a = random_values(name, n_channels), b = random_values(name + " weights", n_channels);
  std::vector<double> x;
  for (size_t i = 0; i < a.size(); ++i) x.insert(x.end(), {a[i], std::fabs(b[i]) + 0.125});
  return x;
}
std::vector<double> states(const std::vector<double>& sums, const std::vector<double>& exponents) {
  std::vector<double> x;
  for (size_t i = 0; i < exponents.size(); ++i) x.insert(x.end(), {sums[2 * i], sums[2 * i + 1], exponents[i]});
  return x;
}

OpCase inputs(const Sizes& s) {
  OpCase c;
  const int64_t n = s.x().numel();
  c.in("k", s.x(), Held::model, random_values("k", n, 2)).in("v", s.x());
  c.in("w", {s.A}, Held::model, random_values("w", s.A, 1.5, -1)).in("u", {s.A});
  return c;
}

Wkv4Forward forward_of(const Tensors& t, const Tensor& y, const Tensor& saved) {
  return {.k = t("k"),
          .v = t("v"),
          .w = t("w"),
          .u = t("u"),
          .y = y,
          .state_in = t("state_in"),
          .state_out = t("state_out"),
          .saved_states = saved,
          .resets = t("resets")};
}

OpCase forward_case(const Sizes& s) {
  OpCase c = inputs(s);
  const std::vector<double> exponents = random_values("exponents", s.B * s.A, 2);
  c.in("state_in", s.state(), Held::sum, states(sums_of("state_in", s.B * s.A), exponents));
  c.out("y", s.x()).out("state_out", s.state(), Held::sum);
  c.call = [](const Exec& ex, const Tensors& t) { run(ex, forward_of(t, t("y"), {})); };
  return c;
}

void run_backward(const Exec& ex, const Tensors& t) {
  const ArenaScope scope(*ex.scratch);
  const Tensor saved = take_wkv4_saved(ex, *ex.scratch, t("k").dtype, t("k").shape);
  const Tensor y = ex.scratch->take(t("k").dtype, t("k").shape);
  run(ex, forward_of(t, y, saved));
  run(ex, Wkv4Backward{.k = t("k"),
                       .v = t("v"),
                       .w = t("w"),
                       .u = t("u"),
                       .saved_states = saved,
                       .dy = t("dy"),
                       .dstate_out = t("dstate_out"),
                       .dk = t("dk"),
                       .dv = t("dv"),
                       .dw = t("dw"),
                       .du = t("du"),
                       .dstate_in = t("dstate_in"),
                       .resets = t("resets")});
}

OpCase backward_case(const Sizes& s) {
  OpCase c = forward_case(s).without("y").without("state_out");
  c.in("dy", s.x()).in("dstate_out", s.state(), Held::sum);
  c.out("dk", s.x()).out("dv", s.x()).inout("dw", {s.A}, Held::sum).inout("du", {s.A}, Held::sum);
  c.out("dstate_in", s.state(), Held::sum);
  c.call = run_backward;
  return c;
}

// Gradients of states are those of the sums at a fixed exponent. So the cases below hold sums and exponents of their own: what goes in is
// put together, and what comes out is brought to the exponents `end`.
struct Parts {
  Tensor whole;
  double* at(int64_t i, int64_t q) const { return whole.as<double>() + 3 * i + q; }
};
void put_together(const Tensor& sums, const Tensor& exponents, const Parts& to) {
  for (int64_t i = 0; i < sums.numel() / 2; ++i) {
    for (int64_t q = 0; q < 2; ++q) *to.at(i, q) = sums.as<double>()[2 * i + q];
    *to.at(i, 2) = exponents ? exponents.as<double>()[i] : 0;
  }
}

GradientCase gradient_case(const Sizes& s) {
  const std::vector<double> exponents = random_values("exponents", s.B * s.A, 2);
  OpCase forward = inputs(s);
  forward.in("sums_in", s.sums(), Held::sum, sums_of("state_in", s.B * s.A)).in("exponents", {s.B, s.A}, Held::sum, exponents);
  OpCase backward = forward;
  const Values base = run_case(forward_case(s), DType::f64);
  std::vector<double> end;
  for (size_t i = 2; i < base.at("state_out").size(); i += 3) end.push_back(base.at("state_out")[i]);
  forward.in("end", {s.B, s.A}, Held::sum, end).out("y", s.x()).out("sums_out", s.sums(), Held::sum);
  forward.call = [s](const Exec& ex, const Tensors& t) {
    const ArenaScope scope(*ex.scratch);
    const Parts state{ex.scratch->take(DType::f64, s.state())};
    if (!ex.dry()) put_together(t("sums_in"), t("exponents"), state);
    Wkv4Forward call = forward_of(t, t("y"), {});
    call.state_in = call.state_out = state.whole;
    run(ex, call);
    if (ex.dry()) return;
    for (int64_t i = 0; i < s.B * s.A; ++i) {
      for (int64_t q = 0; q < 2; ++q)
        t("sums_out").as<double>()[2 * i + q] = *state.at(i, q) * std::exp(*state.at(i, 2) - t("end").as<double>()[i]);
    }
  };
  backward.in("dy", s.x()).in("dsums_out", s.sums(), Held::sum);
  backward.out("dk", s.x()).out("dv", s.x()).inout("dw", {s.A}, Held::sum).inout("du", {s.A}, Held::sum);
  backward.out("dsums_in", s.sums(), Held::sum);
  backward.call = [s](const Exec& ex, const Tensors& t) {
    const ArenaScope scope(*ex.scratch);
    const Parts state{ex.scratch->take(DType::f64, s.state())}, dstate{ex.scratch->take(DType::f64, s.state())};
    if (!ex.dry()) {
      put_together(t("sums_in"), t("exponents"), state);
      put_together(t("dsums_out"), {}, dstate);
    }
    Tensors more = t;
    more.set("state_in", state.whole);
    for (const char* name : {"dstate_out", "dstate_in"}) more.set(name, dstate.whole);
    run_backward(ex, more);
    if (ex.dry()) return;
    for (int64_t i = 0; i < s.B * s.A; ++i) {
      for (int64_t q = 0; q < 2; ++q) t("dsums_in").as<double>()[2 * i + q] = *dstate.at(i, q);
    }
  };
  GradientCase g{.forward = forward, .backward = backward, .seeds = {}, .gradients = {}};
  g.seeds = {{"y", "dy"}, {"sums_out", "dsums_out"}};
  g.gradients = {{"k", "dk"}, {"v", "dv"}, {"w", "dw"}, {"u", "du"}, {"sums_in", "dsums_in"}};
  return g;
}

const Sizes kSizes[] = {{1, 1, 1}, {2, 7, 3}, {2, 32, 2}, {1, 33, 65}, {3, 100, 5}};

TEST(Wkv4, GradientsAreFiniteDifferences) {
  for (const Sizes& s : kSizes) expect_gradients(gradient_case(s));
}

TEST(Wkv4, GradientsWithResetsAreFiniteDifferences) {
  for (const auto& [s, pattern] : {std::pair{Sizes{2, 7, 3}, size_t{1}}, {Sizes{1, 70, 2}, 6}, {Sizes{2, 20, 1}, 4}}) {
    const Flags flags = document_flags(s.B, s.T, pattern);
    GradientCase g = with_resets(gradient_case(s), s.B, s.T, flags);
    const Values base = run_case(with_resets(forward_case(s), s.B, s.T, flags), DType::f64);
    std::vector<double>& end = g.forward.slot("end").values;
    for (size_t i = 0; i < end.size(); ++i) end[i] = base.at("state_out")[3 * i + 2];
    expect_gradients(g);
  }
}

// The definition: sums over all earlier tokens.
TEST(Wkv4, ForwardIsTheMean) {
  for (const Sizes& s : kSizes) {
    OpCase c = forward_case(s);
    const auto value = [&](const char* name, int64_t i) { return c.slot(name).values[static_cast<size_t>(i)]; };
    std::vector<double> y, end;
    for (int64_t b = 0; b < s.B; ++b) {
      for (int64_t t = 0; t <= s.T; ++t) {
        for (int64_t j = 0; j < s.A; ++j) {
          const int64_t state = (b * s.A + j) * 3;
          const double decay = -std::exp(value("w", j)), exponent = value("state_in", state + 2) + static_cast<double>(t) * decay;
          double above = value("state_in", state) * std::exp(exponent), below = value("state_in", state + 1) * std::exp(exponent);
          double largest = exponent;
          for (int64_t q = 0; q < t; ++q) {
            const int64_t i = (b * s.T + q) * s.A + j;
            const double power = value("k", i) + static_cast<double>(t - 1 - q) * decay;
            above += std::exp(power) * value("v", i);
            below += std::exp(power);
            largest = std::max(largest, power);
          }
          if (t == s.T) {
            end.insert(end.end(), {above * std::exp(-largest), below * std::exp(-largest), largest});
          } else {
            const int64_t i = (b * s.T + t) * s.A + j;
            const double own = std::exp(value("u", j) + value("k", i));
            y.push_back((above + own * value("v", i)) / (below + own));
          }
        }
      }
    }
    const Values got = run_case(c, DType::f64);
    EXPECT_LE(relative_difference(got.at("y"), y), 1e-13);
    EXPECT_LE(relative_difference(got.at("state_out"), end), 1e-13);
  }
}

// In f32 an exponent that shrinks by little loses up to half a unit of its last digit a token: 300 tokens at -4 are 4e-5 of a weight.
TEST(Wkv4, OtherTypes) {
  for (const Sizes& s : {Sizes{2, 33, 65}, {1, 300, 2}, {66, 9, 66}}) {
    expect_close_to_double(forward_case(s), 5e-6);
    expect_close_to_double(backward_case(s), 2e-5, 5e-3);
  }
}

// Enough rows for blocks of 8 warps and of 16, of single channels and of pairs.
TEST(Wkv4, LayoutsOnGpu) {
  if (!has_gpu()) GTEST_SKIP() << "no GPU";
  for (const Sizes& s : {Sizes{200, 9, 3}, {200, 70, 2}, {132, 140, 2}}) {
    for (const OpCase& c : {forward_case(s), backward_case(s)})
      expect_close(run_twice_on_gpu(c, DType::bf16), run_case(c, DType::f64), 5e-3, cat("B = ", s.B));
  }
}

// What is not a number comes out as such from its channel, after it or before it, and from no other.
TEST(Wkv4, NotANumberStaysVisible) {
  const Sizes s{1, 150, 3};
  const size_t token = 75;
  std::vector<Place> places{Place(Device::cpu)};
  if (has_gpu()) places.emplace_back(Device::cuda);
  for (const Place& place : places) {
    for (const char* name : {"k", "v", "dy"}) {
      OpCase forward = forward_case(s), backward = backward_case(s);
      for (OpCase* c : {&forward, &backward}) {
        if (name != std::string("dy") || c == &backward) c->slot(name).values[token * 3 + 1] = std::nan("");
      }
      Values got = run_case(backward, DType::f32, place);
      got["y"] = run_case(forward, DType::f32, place).at("y");
      for (const char* output : {"y", "dk", "dv"}) {
        for (size_t t = 0; t < 150; ++t) {
          for (size_t channel : {0, 2}) ASSERT_TRUE(std::isfinite(got.at(output)[t * 3 + channel])) << name << " " << output << " " << t;
        }
      }
      if (name != std::string("dy")) {
        for (size_t t = token; t < token + 5; ++t) EXPECT_TRUE(std::isnan(got.at("y")[t * 3 + 1])) << name << " y " << t;
      }
      for (size_t t = token - 5; t < token; ++t) EXPECT_TRUE(std::isnan(got.at("dk")[t * 3 + 1])) << name << " dk " << t;
      for (const char* output : {"du", "dw"}) EXPECT_TRUE(std::isnan(got.at(output)[1])) << name << " " << output;
    }
  }
}

// Lengths around those of a warp's tokens and of a step on a GPU; with and without states.
TEST(Wkv4, LengthsOnGpu) {
  if (!has_gpu()) GTEST_SKIP() << "no GPU";
  for (int64_t T : {1, 7, 8, 9, 127, 128, 129, 257}) {
    const Sizes s{1, T, 5};
    const OpCase forward = forward_case(s), backward = backward_case(s);
    const OpCase bare = backward.without("state_in").without("dstate_out").without("dstate_in");
    for (const OpCase& c : {forward, backward, bare})
      expect_close(run_twice_on_gpu(c, DType::f32), run_case(c, DType::f64), 5e-5, cat("T = ", T));
  }
}

TEST(Wkv4, WithoutStates) {
  const Sizes s{2, 40, 3};
  OpCase bare = backward_case(s).without("state_in").without("dstate_out").without("dstate_in"), empty = backward_case(s);
  // Empty is what has no weight, whatever else it holds.
  for (size_t i = 0; i < empty.slot("state_in").values.size(); i += 3) empty.slot("state_in").values[i + 1] = 0;
  for (double& x : empty.slot("dstate_out").values) x = 0;
  Values got = run_case(empty, DType::f64);
  for (double x : got.at("dstate_in")) EXPECT_EQ(x, 0);
  got.erase("dstate_in");
  EXPECT_EQ(got, run_case(bare, DType::f64));
  for (DType dtype : {DType::f32, DType::bf16}) expect_close(run_case(bare, dtype), got, dtype == DType::f32 ? 1e-5 : 5e-3, name_of(dtype));
  EXPECT_EQ(run_case(bare.without("dw"), DType::f64).at("du"), got.at("du"));
  EXPECT_EQ(run_case(bare.without("du"), DType::f64).at("dw"), got.at("dw"));
}

// Keys that exp() cannot take, decays that forget everything and nothing, states far from the keys.
TEST(Wkv4, SizesOfNumbers) {
  const Sizes s{2, 150, 8};
  OpCase forward = forward_case(s), backward = backward_case(s);
  for (OpCase* c : {&forward, &backward}) {
    for (double& x : c->slot("k").values) x *= 30;
    c->slot("w").values = {-100, -8, -4, -1, 1, 4, 20, 100};
    for (size_t i = 2; i < c->slot("state_in").values.size(); i += 3) c->slot("state_in").values[i] *= 30;
  }
  for (const OpCase* c : {&forward, &backward}) {
    const Values reference = run_case(*c, DType::f64);
    for (const auto& [name, values] : reference) {
      for (double x : values) ASSERT_TRUE(std::isfinite(x)) << name;
    }
    expect_close(run_case(*c, DType::f32), reference, 1e-4, "f32");
    if (has_gpu()) expect_close(run_twice_on_gpu(*c, DType::f32), reference, 1e-4, "f32 on a GPU");
  }
}

TEST(Wkv4, ThreadsDoNotChangeBits) {
  expect_same_bits_for_threads(forward_case({2, 33, 130}));
  expect_same_bits_for_threads(backward_case({3, 33, 130}));
  expect_same_bits_for_threads(with_resets(backward_case({2, 33, 65}), 2, 33, document_flags(2, 33, 1)));
}

// A case of tokens begin .. begin + T of another one.
OpCase part_of(OpCase whole, OpCase part, const Sizes& s, int64_t begin) {
  for (OpCase::Slot& slot : part.slots) {
    const OpCase::Slot& from = whole.slot(slot.name);
    if (from.shape == slot.shape) {
      slot.values = from.values;
    } else if (slot.role == Role::in) {
      slot.values.assign(from.values.begin() + begin * s.A, from.values.begin() + (begin + s.T) * s.A);
    }
  }
  return part;
}
std::vector<double> joined(std::vector<double> a, const std::vector<double>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// States and their gradients carried over a border: on a GPU, too, where it lies inside a step.
TEST(Wkv4, SegmentsGiveTheWholeSequence) {
  const Sizes whole{1, 170, 5}, first{1, 70, 5}, second{1, 100, 5};
  const OpCase all = forward_case(whole), all_back = backward_case(whole);
  OpCase one = part_of(all, forward_case(first), first, 0), two = part_of(all, forward_case(second), second, 70);
  OpCase one_back = part_of(all_back, backward_case(first), first, 0), two_back = part_of(all_back, backward_case(second), second, 70);
  std::vector<std::pair<Place, DType>> places{{Place(Device::cpu), DType::f64}, {Place(Device::cpu), DType::f32}};
  if (has_gpu()) places.emplace_back(Device::cuda, DType::f32);
  for (const auto& [place, dtype] : places) {
    const double limit = dtype == DType::f64 ? 1e-13 : 3e-5;
    const Values expected = run_case(all, dtype, place), gradients = run_case(all_back, dtype, place);
    const Values start = run_case(one, dtype, place);
    two.slot("state_in").values = two_back.slot("state_in").values = start.at("state_out");
    const Values end = run_case(two, dtype, place), late = run_case(two_back, dtype, place);
    one_back.slot("dstate_out").values = late.at("dstate_in");
    for (const char* name : {"dw", "du"}) one_back.slot(name).values = late.at(name);
    const Values early = run_case(one_back, dtype, place);
    const Values got{{"y", joined(start.at("y"), end.at("y"))}, {"state_out", end.at("state_out")}};
    expect_close(got, expected, limit, "forward");
    Values got_back{{"dw", early.at("dw")}, {"du", early.at("du")}, {"dstate_in", early.at("dstate_in")}};
    for (const char* name : {"dk", "dv"}) got_back[name] = joined(early.at(name), late.at(name));
    expect_close(got_back, gradients, limit, "backward");
  }
}

TEST(Wkv4, DocumentsAreSequencesOfTheirOwn) {
  size_t pattern = 0;
  for (const auto& [T, A] : {std::pair{1, 2}, {7, 65}, {16, 3}, {33, 64}, {150, 5}, {300, 2}}) {
    const auto forward = [&, A = A](int64_t b, int64_t t) { return forward_case({b, t, A}); };
    const auto backward = [&, A = A](int64_t b, int64_t t) { return backward_case({b, t, A}); };
    for (int i = 0; i < 3; ++i, pattern += 2) {
      const Flags flags = document_flags(3, T, pattern);
      const GpuLimits limits{i == 1 ? 0 : 5e-5, i == 1 ? 6e-3 : 0, i == 1 ? 1e-3 : 0};
      const std::string what = cat("A = ", A, ", T = ", T, ", pattern ", pattern);
      expect_documents(forward, 3, T, flags, limits, what);
      expect_documents(backward, 3, T, flags, limits, what);
    }
  }
}

// Flags that are all zero change no bits.
TEST(Wkv4, NoResetsAmongTheFlags) {
  const Sizes s{2, 140, 3};
  for (const OpCase& plain : {forward_case(s), backward_case(s)}) {
    const OpCase flagged = with_resets(plain, s.B, s.T, Flags(static_cast<size_t>(s.B * s.T)));
    EXPECT_EQ(run_case(flagged, DType::bf16), run_case(plain, DType::bf16));
    if (!has_gpu()) continue;
    EXPECT_TRUE(same_values(run_case(flagged, DType::f32, Device::cuda), run_case(plain, DType::f32, Device::cuda)));
  }
}

TEST(Wkv4, StateInPlace) { expect_alias(forward_case({2, 150, 5}), "state_out", "state_in"); }

}  // namespace
}  // namespace rk::test
