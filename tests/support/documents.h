// Rows packed of several documents against the documents by themselves, for operators with `resets`.
#pragma once
#include "support/op_case.h"

namespace rk::test {

// Ways to cut rows of T tokens into documents; flags of a row.
using Flags = std::vector<double>;
inline std::vector<Flags> document_patterns(int64_t T) {
  const auto n = static_cast<size_t>(T);
  const Random random(11, 3);
  const auto where = [&](const auto& begins) {
    Flags flags(n);
    for (size_t t = 0; t < n; ++t) flags[t] = begins(t) ? 1 : 0;
    return flags;
  };
  return {where([](size_t) { return false; }),
          where([&](size_t t) { return random.uniform(t) < 0.15; }),
          where([](size_t t) { return t == 0; }),
          where([&](size_t t) { return t + 1 == n; }),
          where([](size_t t) { return t % 16 == 0; }),
          where([](size_t t) { return t >= 3 && t % 16 >= 15; }),
          where([](size_t t) { return t % 32 == 1 || t % 32 == 20; }),
          where([](size_t t) { return t / 33 % 2 == 1; }),  // many of one token, then a long one
          where([](size_t) { return true; })};
}
// Rows of a batch that differ, from pattern `first` on.
inline Flags document_flags(int64_t B, int64_t T, size_t first) {
  const std::vector<Flags> patterns = document_patterns(T);
  Flags all;
  for (size_t b = 0; b < static_cast<size_t>(B); ++b) {
    const Flags& row = patterns[(first + b) % patterns.size()];
    all.insert(all.end(), row.begin(), row.end());
  }
  return all;
}
inline OpCase with_resets(OpCase c, int64_t B, int64_t T, const Flags& flags) { return c.in("resets", {B, T}, Held::u8, flags); }
inline GradientCase with_resets(GradientCase g, int64_t B, int64_t T, const Flags& flags) {
  g.forward = with_resets(g.forward, B, T, flags);
  g.backward = with_resets(g.backward, B, T, flags);
  return g;
}

// What a case gives for rows of B x T tokens that are cut at `flags`, every document computed by itself in double. make(B, T) makes the
// case; tensors [B,T,...] are sequences, names with "state" are states of rows [B,...], everything else belongs to all rows alike, and what
// of that is added to is summed.
inline Values by_documents(const std::function<OpCase(int64_t, int64_t)>& make, int64_t B, int64_t T, const Flags& flags) {
  const OpCase whole = make(B, T);
  const auto is_state = [](const OpCase::Slot& s) { return s.name.find("state") != std::string::npos; };
  const auto is_sequence = [&](const OpCase::Slot& s) { return !is_state(s) && s.shape.rank >= 3; };
  Values all;
  for (const auto& s : whole.slots)
    if (s.role != Role::in) all[s.name] = s.role == Role::inout ? s.values : std::vector<double>(static_cast<size_t>(s.shape.numel()));
  for (int64_t b = 0; b < B; ++b)
    for (int64_t begin = 0, end = 0; begin < T; begin = end) {
      const auto flagged = [&](int64_t t) { return flags[static_cast<size_t>(b * T + t)] != 0; };
      for (end = begin + 1; end < T && !flagged(end);) ++end;
      const bool first = begin == 0 && !flagged(0), last = end == T;
      OpCase one = make(1, end - begin);
      const auto part = [&](const OpCase::Slot& s) {  // where a sequence's or a state's part lies in the whole
        const int64_t row = s.shape.numel() / B, token = row / T;
        return is_state(s) ? std::pair{b * row, row} : std::pair{b * row + begin * token, (end - begin) * token};
      };
      for (size_t i = 0; i < one.slots.size(); ++i) {
        const OpCase::Slot& s = whole.slots[i];
        if (s.role == Role::out || !(is_state(s) || is_sequence(s))) continue;
        const auto [at, n] = part(s);
        one.slots[i].values.assign(s.values.begin() + at, s.values.begin() + at + n);
        if (is_state(s) && !(s.name == "state_in" ? first : last)) std::fill_n(one.slots[i].values.begin(), n, 0.0);
      }
      const Values got = run_case(one, DType::f64);
      for (const auto& s : whole.slots) {
        if (s.role == Role::in) continue;
        const std::vector<double>& x = got.at(s.name);
        std::vector<double>& to = all.at(s.name);
        if (is_state(s)) {
          if (s.name == "dstate_in" ? first : last) std::copy(x.begin(), x.end(), to.begin() + part(s).first);
        } else if (is_sequence(s)) {
          std::copy(x.begin(), x.end(), to.begin() + part(s).first);
        } else {
          for (size_t j = 0; j < x.size(); ++j) to[j] += x[j] - s.values[j];
        }
      }
    }
  return all;
}

// The packed rows in double are the documents; on a GPU as near as its types allow (limits of f32, bf16, f16; 0: not run). What is zero
// there is zero or nearly so here.
struct GpuLimits {
  double f32 = 0, bf16 = 0, f16 = 0;
};
inline void expect_documents(const std::function<OpCase(int64_t, int64_t)>& make, int64_t B, int64_t T, const Flags& flags,
                             const GpuLimits& limits, const std::string& what) {
  const OpCase packed = with_resets(make(B, T), B, T, flags);
  const Values expected = by_documents(make, B, T, flags);
  expect_close(run_case(packed, DType::f64), expected, 1e-11, what);
  if (!has_gpu()) return;
  for (const auto& [dtype, limit] : {std::pair{DType::f32, limits.f32}, {DType::bf16, limits.bf16}, {DType::f16, limits.f16}}) {
    if (limit == 0) continue;
    const Values got = run_twice_on_gpu(packed, dtype);
    for (const auto& [name, ref] : expected) {
      if (std::any_of(ref.begin(), ref.end(), [](double x) { return x != 0; })) {
        EXPECT_LE(relative_difference(got.at(name), ref), limit) << what << ", " << name_of(dtype) << ": " << name;
      } else {
        for (double x : got.at(name)) ASSERT_LE(std::abs(x), limit) << what << ", " << name_of(dtype) << ": " << name;
      }
    }
  }
}

// The same for operators that mix a token with the one before it: cases of B x T tokens, C channels, n mixes.
using MixCase = std::function<OpCase(int64_t B, int64_t T, int64_t C, int n)>;
inline void expect_documents_of_mixes(const MixCase& forward, const MixCase& backward) {
  size_t pattern = 0;
  for (int n : {1, 2, 5, 6})
    for (const auto& [T, C] : {std::pair{1, 16}, {7, 33}, {17, 264}, {40, 64}, {100, 16}})
      for (int i = 0; i < 4; ++i, ++pattern) {
        const Flags flags = document_flags(3, T, pattern);
        const GpuLimits limits{i % 2 ? 1e-5 : 0, i % 2 ? 0 : 8e-3, i == 3 ? 2e-3 : 0};
        const std::string what = cat("n = ", n, ", T = ", T, ", C = ", C, ", pattern ", pattern);
        for (const MixCase& make : {forward, backward})
          expect_documents([&, C = C](int64_t b, int64_t t) { return make(b, t, C, n); }, 3, T, flags, limits, what);
      }
}

}  // namespace rk::test
