// AdamW in host memory by each instruction set: one formula, one rounding, the same bits.
#include <cmath>

#include "kernels/adamw/op_cpu.h"
#include "kernels/step_control/op.h"
#include "support/op_case.h"

namespace rk::test {
namespace {

using cpu::Isa;

constexpr double kLr = 1e-2, kBeta1 = 0.9, kBeta2 = 0.95, kEps = 1e-8, kDecay = 0.1, kGradScaleUsed = 0.5, kBias1Used = 2.5, kBias2Used = 7;

// Of two groups, at places that vectors do not expect.
struct Arrays {
  int64_t n;
  std::vector<float> p, g, m, v;
  std::vector<uint16_t> w;
  static constexpr int64_t kOffset = 3;

  explicit Arrays(int64_t size) : n(size) {
    const Random random(7, stream_of("adamw"));
    auto numbers = [&, k = uint64_t{0}](double scale) mutable {
      std::vector<float> x(static_cast<size_t>(n + kOffset));
      for (float& e : x) e = static_cast<float>(scale * random.normal(k++));
      return x;
    };
    p = numbers(1);
    g = numbers(1e-3);
    m = numbers(1e-3);
    v = numbers(1e-3);
    for (float& e : v) e = e * e;
    const auto special = [&](std::vector<float>& x, float value) { x[static_cast<size_t>(kOffset + n / 2 + specials++)] = value; };
    for (float value : {0.0f, -0.0f, 1e-40f, 1e30f, INFINITY, NAN}) special(g, value);
    for (float value : {1e-40f, 1e6f, -7e4f, INFINITY, NAN}) special(p, value);
    for (float value : {0.0f, 1e-42f}) special(v, value);
    w.assign(static_cast<size_t>(n + kOffset), 0);
  }
  int specials = 0;

  Tensor at(std::vector<float>& x) const { return {x.data() + kOffset, {n}, DType::f32, Device::pinned}; }

  // One step by `isa`.
  void update(Isa isa, DType narrow, int threads) {
    int64_t ends[] = {n / 3, n};
    double lr_scale[] = {2, 1}, decay[] = {0, kDecay}, decision[kStepDecisions] = {};
    decision[kGradScale] = kGradScaleUsed;
    decision[kApply] = 1;
    decision[kBias1] = kBias1Used;
    decision[kBias2] = kBias2Used;
    ThreadPool pool(threads);
    cpu::run({.pool = &pool},
             AdamW{.p = at(p),
                   .g = at(g),
                   .m = at(m),
                   .v = at(v),
                   .w = {w.data() + kOffset, {n}, narrow, Device::pinned},
                   .ends = {ends, {2}, DType::i64},
                   .lr_scale = {lr_scale, {2}, DType::f64},
                   .weight_decay = {decay, {2}, DType::f64},
                   .decision = {decision, {kStepDecisions}, DType::f64},
                   .lr = kLr,
                   .beta1 = kBeta1,
                   .beta2 = kBeta2,
                   .eps = kEps},
             isa);
  }

  // The same by the formula, element by element.
  void update_plainly(DType narrow) {
    for (size_t i = kOffset; i < p.size(); ++i) {
      const bool first = static_cast<int64_t>(i) - kOffset < n / 3;
      const auto lr = static_cast<float>(kLr * (first ? 2 : 1)), decay = static_cast<float>(first ? 0 : kDecay);
      const auto beta1 = static_cast<float>(kBeta1), beta2 = static_cast<float>(kBeta2);
      const float grad = g[i] * static_cast<float>(kGradScaleUsed);
      m[i] = std::fma(beta1, m[i], static_cast<float>(1 - kBeta1) * grad);
      v[i] = std::fma(beta2, v[i], static_cast<float>(1 - kBeta2) * (grad * grad));
      const float u =
          (m[i] * static_cast<float>(kBias1Used)) / (std::sqrt(v[i] * static_cast<float>(kBias2Used)) + static_cast<float>(kEps));
      p[i] = std::fma(-lr, std::fma(decay, p[i], u), p[i]);
      w[i] = narrow == DType::bf16 ? bf16(p[i]).bits : to_f16(p[i]).bits;
    }
  }
};

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

void expect_same(const Arrays& got, const Arrays& expected, const std::string& what) {
  EXPECT_TRUE(same_bits(got.p, expected.p)) << what << ": p";
  EXPECT_TRUE(same_bits(got.m, expected.m)) << what << ": m";
  EXPECT_TRUE(same_bits(got.v, expected.v)) << what << ": v";
  EXPECT_TRUE(same_bits(got.w, expected.w)) << what << ": w";
}

// The largest takes several threads, and its weights go around the caches.
TEST(HostAdamW, EveryInstructionSetGivesTheSameBits) {
  for (int64_t n : {40, 1000, 5003, 2'100'007}) {
    const Arrays start(n);
    for (DType narrow : {DType::bf16, DType::f16}) {
      Arrays expected = start;
      expected.update_plainly(narrow);
      for (Isa isa : cpu::kIsas) {
        if (!cpu::has(isa)) continue;
        Arrays got = start;
        got.update(isa, narrow, 3);
        expect_same(got, expected, cat(cpu::name_of(isa), ", ", name_of(narrow), ", n = ", n));
      }
    }
  }
}

}  // namespace
}  // namespace rk::test
