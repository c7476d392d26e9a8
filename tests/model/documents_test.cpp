// Rows packed of several documents: losses, gradients and states are those of the documents by themselves.
#include <gtest/gtest.h>

#include "support/tiny_model.h"

namespace rk::test {
namespace {

constexpr int64_t kRows = 2, kTokens = 41;

// Two rows that are cut at different places: documents of one token, several in a chunk of the operator, borders of chunks and segments.
std::vector<uint8_t> flags() {
  std::vector<uint8_t> f(static_cast<size_t>(kRows * kTokens));
  for (int64_t t : {0, 1, 2, 9, 16, 23, 40}) f[static_cast<size_t>(t)] = 1;
  for (int64_t t : {4, 5, 15, 17, 32}) f[static_cast<size_t>(kTokens + t)] = 1;
  return f;
}

// Everything that a run gives, for the sum of losses (not their mean), so that documents add up.
struct Whole {
  double loss = 0;
  std::vector<double> logits, row_loss;
  Values grads, final_state, dinitial_state;
};

double counted(const RunInput& in) {
  double sum = 0;
  for (size_t i = 0; i < in.targets.size(); ++i)
    if (in.targets[i] >= 0) sum += static_cast<double>(in.weights[i]);
  return sum > 0 ? sum : 1;
}

Whole run(ModelRunner& runner, RunInput in) {
  in.loss_scale = counted(in);
  in.l2_factor = 1e-2 * static_cast<double>(in.B * in.T);
  const RunOutput out = runner.train(in);
  EXPECT_EQ(out.kept_peak, out.kept_capacity);
  EXPECT_EQ(out.scratch_peak, out.scratch_capacity);
  return {out.loss * counted(in), out.logits, out.row_loss, out.grads, out.final_state, out.dinitial_state};
}

// Row b of a value of all rows.
std::vector<double> row_of(const std::vector<double>& x, int64_t b) {
  const auto n = static_cast<int64_t>(x.size()) / kRows;
  return {x.begin() + b * n, x.begin() + (b + 1) * n};
}
Values rows_of(const Values& states, int64_t b, bool wanted) {
  Values one;
  for (const auto& [name, x] : states) {
    one[name] = row_of(x, b);
    if (!wanted) std::fill(one[name].begin(), one[name].end(), 0.0);
  }
  return one;
}
void put_row(Values& all, const Values& one, int64_t b) {
  for (const auto& [name, x] : one) {
    all[name].resize(x.size() * kRows);
    std::copy(x.begin(), x.end(), all[name].begin() + b * static_cast<int64_t>(x.size()));
  }
}

// Each document by itself.
Whole by_documents(ModelRunner& runner, const RunInput& in) {
  Whole all;
  for (int64_t b = 0; b < in.B; ++b)
    for (int64_t begin = 0, end = 0; begin < in.T; begin = end) {
      const auto flagged = [&](int64_t t) { return in.resets[static_cast<size_t>(b * in.T + t)] != 0; };
      for (end = begin + 1; end < in.T && !flagged(end);) ++end;
      const bool first = begin == 0 && !flagged(0), last = end == in.T;
      RunInput one;
      one.T = end - begin;
      const auto part = [&](auto& to, const auto& from) { to.assign(from.begin() + b * in.T + begin, from.begin() + b * in.T + end); };
      part(one.tokens, in.tokens);
      part(one.targets, in.targets);
      part(one.weights, in.weights);
      one.initial_state = rows_of(in.initial_state, b, first);
      one.dfinal_state = rows_of(in.dfinal_state, b, last);
      one.want_dinitial = true;
      const Whole out = run(runner, one);
      all.loss += out.loss;
      all.logits.insert(all.logits.end(), out.logits.begin(), out.logits.end());
      all.row_loss.insert(all.row_loss.end(), out.row_loss.begin(), out.row_loss.end());
      for (const auto& [name, g] : out.grads) {
        all.grads[name].resize(g.size());
        for (size_t i = 0; i < g.size(); ++i) all.grads[name][i] += g[i];
      }
      if (last) put_row(all.final_state, out.final_state, b);
      if (begin == 0) {
        Values dinitial = out.dinitial_state;
        if (!first)
          for (auto& [name, x] : dinitial) std::fill(x.begin(), x.end(), 0.0);
        put_row(all.dinitial_state, dinitial, b);
      }
    }
  return all;
}

void expect_close(const Whole& got, const Whole& expected, double limit, const std::string& what) {
  EXPECT_NEAR(got.loss / expected.loss, 1, limit) << what;
  EXPECT_LE(distance(got.logits, expected.logits), limit) << what;
  EXPECT_LE(distance(got.row_loss, expected.row_loss), limit) << what;
  for (const auto& [name, x] : expected.grads) EXPECT_LE(distance(got.grads.at(name), x), limit) << what << ": " << name;
  for (const auto& [name, x] : expected.final_state) EXPECT_LE(distance(got.final_state.at(name), x), limit) << what << ": " << name;
  for (const auto& [name, x] : expected.dinitial_state) EXPECT_LE(distance(got.dinitial_state.at(name), x), limit) << what << ": " << name;
}

RunInput packed_input(const Model& model) {
  RunInput in = random_input(model, kRows, kTokens);
  in.resets = flags();
  in.initial_state = random_states(model, kRows, 100);
  in.dfinal_state = random_state_gradients(model, kRows, 200, 0.05);
  in.want_dinitial = true;
  return in;
}

class Documents : public EveryFamily {
 protected:
  static std::unique_ptr<Model> model_of(const ModelSpec& spec) { return family_of(spec.arch).make(spec); }
};

TEST_P(Documents, PackedRowsAreSequencesOfTheirOwn) {
  ModelRunner runner(model_of(spec(DType::f64)));
  runner.set_all([](const Param& p) { return lively_values(p); });
  RunInput in = packed_input(runner.model());
  const Whole expected = by_documents(runner, in);
  for (const std::vector<int64_t>& segments : {std::vector<int64_t>{}, {16, 16, 9}, {9, 14, 1, 17}, {5, 36}})
    for (PlanOrder order : {PlanOrder::layer, PlanOrder::segment})
      for (bool grad_cp : {false, true})
        for (bool keep_less : {false, true}) {
          in.segments = segments;
          in.order = order;
          in.grad_cp = grad_cp;
          in.keep_less = keep_less;
          expect_close(run(runner, in), expected, 1e-11,
                       cat(segments.size(), " segments, order ", static_cast<int>(order), ", ", grad_cp, keep_less));
        }
}

TEST_P(Documents, WithoutStatesAtTheEnds) {
  ModelRunner runner(model_of(spec(DType::f64, 3)));
  runner.set_all([](const Param& p) { return lively_values(p); });
  RunInput in = packed_input(runner.model());
  in.initial_state.clear();
  in.dfinal_state.clear();
  in.want_dinitial = false;
  Whole expected = by_documents(runner, in);
  expected.dinitial_state.clear();
  expect_close(run(runner, in), expected, 1e-11, "no states");
}

TEST_P(Documents, FlagsThatAreAllZeroChangeNoBits) {
  for (DType dtype : {DType::f64, DType::bf16}) {
    ModelRunner runner(model_of(spec(dtype)));
    runner.set_all([](const Param& p) { return lively_values(p); });
    RunInput in = packed_input(runner.model());
    in.segments = {9, 32};
    in.resets.clear();
    const RunOutput plain = runner.train(in);
    in.resets.assign(static_cast<size_t>(kRows * kTokens), 0);
    const RunOutput flagged = runner.train(in);
    EXPECT_EQ(flagged.grads, plain.grads);
    EXPECT_EQ(flagged.logits, plain.logits);
    EXPECT_EQ(flagged.dinitial_state, plain.dinitial_state);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Documents, testing::ValuesIn(tiny_families()));

}  // namespace
}  // namespace rk::test
