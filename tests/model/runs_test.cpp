// The same numbers whichever way a model is run.
#include <gtest/gtest.h>

#include "support/tiny_model.h"

namespace rk::test {
namespace {

ModelRunner lively_runner(ModelSpec spec, int threads = 2) { return ModelRunner(family_of(spec.arch).make(spec), threads); }

void set_lively(ModelRunner& runner) {
  runner.set_all([](const Param& p) { return lively_values(p); });
}

void expect_close(const RunOutput& a, const RunOutput& b, double limit, const std::string& what) {
  EXPECT_LE(std::abs(a.loss - b.loss), limit * std::abs(b.loss)) << what;
  EXPECT_LE(distance(a.logits, b.logits), limit) << what;
  EXPECT_LE(distance(a.row_loss, b.row_loss), limit) << what;
  for (const auto& [name, g] : b.grads) EXPECT_LE(distance(a.grads.at(name), g), limit) << what << ": " << name;
  for (const auto& [name, s] : b.final_state) EXPECT_LE(distance(a.final_state.at(name), s), limit) << what << ": " << name;
  for (const auto& [name, s] : b.dinitial_state) EXPECT_LE(distance(a.dinitial_state.at(name), s), limit) << what << ": " << name;
}

void expect_same_bits(const RunOutput& a, const RunOutput& b, const std::string& what) {
  EXPECT_EQ(a.loss, b.loss) << what;
  EXPECT_EQ(a.logits, b.logits) << what;
  EXPECT_EQ(a.grads, b.grads) << what;
  EXPECT_EQ(a.final_state, b.final_state) << what;
  EXPECT_EQ(a.dinitial_state, b.dinitial_state) << what;
}

// With state at both ends.
RunInput carried_input(const Model& model, int64_t B, int64_t T) {
  RunInput in = random_input(model, B, T);
  in.initial_state = random_states(model, B, 100);
  in.dfinal_state = random_state_gradients(model, B, 200, 0.05);
  in.want_dinitial = true;
  in.l2_factor = 1e-2;
  return in;
}

const std::vector<std::vector<int64_t>> kSegmentations{{9, 8}, {1, 5, 4, 7}, {16, 1}, std::vector<int64_t>(17, 1)};

class Segments : public EveryFamily {};

TEST_P(Segments, EqualTheWholeInDouble) {
  ModelRunner runner = lively_runner(spec(DType::f64));
  set_lively(runner);
  RunInput in = carried_input(runner.model(), 2, 17);
  const RunOutput whole = runner.train(in);
  for (const auto& segments : kSegmentations)
    for (PlanOrder order : {PlanOrder::layer, PlanOrder::segment})
      for (bool grad_cp : {false, true}) {
        in.segments = segments;
        in.order = order;
        in.grad_cp = grad_cp;
        expect_close(runner.train(in), whole, 1e-11, cat(segments.size(), " segments, order ", static_cast<int>(order), ", ", grad_cp));
      }
}

TEST_P(Segments, TruncationStopsGradientsButNotValues) {
  ModelRunner runner = lively_runner(spec(DType::f64));
  set_lively(runner);
  RunInput in = carried_input(runner.model(), 2, 17);
  in.dfinal_state.clear();
  in.segments = {1, 5, 4, 7};
  const RunOutput full = runner.train(in);
  in.truncated = true;
  const RunOutput by_layer = runner.train(in);
  in.order = PlanOrder::segment;
  expect_close(runner.train(in), by_layer, 1e-11, "order");
  EXPECT_EQ(full.logits, by_layer.logits);
  EXPECT_GT(distance(by_layer.grads.at("blocks.0.att.key.weight"), full.grads.at("blocks.0.att.key.weight")), 1e-3);

  // Every segment by itself, from the state that the one before left, adds up to the same gradients.
  Values sum;
  RunInput part = in;
  int64_t t = 0;
  for (int64_t T : in.segments) {
    part.T = T;
    part.segments.clear();
    part.tokens.clear();
    part.targets.clear();
    part.weights.clear();
    double weight = 0, all = 0;
    for (int64_t i = 0; i < in.B * in.T; ++i) {
      const auto at = static_cast<size_t>(i);
      const double counted = in.targets[at] >= 0 ? static_cast<double>(in.weights[at]) : 0;
      all += counted;
      if (i % in.T < t || i % in.T >= t + T) continue;
      weight += counted;
      part.tokens.push_back(in.tokens[at]);
      part.targets.push_back(in.targets[at]);
      part.weights.push_back(in.weights[at]);
    }
    part.loss_scale = weight > 0 ? weight / all : 1;
    part.l2_factor = in.l2_factor * static_cast<double>(T) / static_cast<double>(in.T);
    const RunOutput out = runner.train(part);
    for (const auto& [name, g] : out.grads) {
      sum[name].resize(g.size());
      for (size_t i = 0; i < g.size(); ++i) sum[name][i] += g[i];
    }
    part.initial_state = out.final_state;
    t += T;
  }
  for (const auto& [name, g] : by_layer.grads) EXPECT_LE(distance(sum.at(name), g), 1e-11) << name;
}

TEST_P(Segments, TokenByTokenDecodesTheSameLogits) {
  for (DType dtype : {DType::f64, DType::f32}) {
    ModelRunner runner = lively_runner(spec(dtype));
    set_lively(runner);
    RunInput in = random_input(runner.model(), 2, 17);
    in.targets.clear();
    const RunOutput whole = runner.forward(in);
    in.segments = std::vector<int64_t>(17, 1);
    EXPECT_LE(distance(runner.forward(in).logits, whole.logits), dtype == DType::f64 ? 1e-13 : 1e-5);
  }
}

class Recomputation : public EveryFamily {};

TEST_P(Recomputation, GivesTheSameBits) {
  for (DType dtype : {DType::f64, DType::f32, DType::bf16})
    for (PlanOrder order : {PlanOrder::layer, PlanOrder::segment}) {
      ModelRunner runner = lively_runner(spec(dtype, 3));
      set_lively(runner);
      RunInput in = carried_input(runner.model(), 2, 17);
      in.segments = {7, 10};
      in.order = order;
      const RunOutput kept = runner.train(in);
      in.grad_cp = true;
      const RunOutput recomputed = runner.train(in);
      expect_same_bits(recomputed, kept, name_of(dtype));
      EXPECT_LT(recomputed.kept_peak, kept.kept_peak);
    }
}

class KeepingLess : public EveryFamily {};

TEST_P(KeepingLess, GivesTheSameBits) {
  for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    ModelRunner runner = lively_runner(spec(dtype, 3));
    set_lively(runner);
    RunInput in = carried_input(runner.model(), 2, 17);
    in.segments = {7, 10};
    const RunOutput all = runner.train(in);
    in.keep_less = true;
    const RunOutput less = runner.train(in);
    expect_same_bits(less, all, name_of(dtype));
    EXPECT_LT(less.kept_peak, all.kept_peak);
  }
}

class Threads : public EveryFamily {};

TEST_P(Threads, DoNotChangeBits) {
  for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    RunOutput first;
    for (int threads : {1, 2, 5}) {
      ModelRunner runner = lively_runner(spec(dtype), threads);
      set_lively(runner);
      const RunOutput out = runner.train(carried_input(runner.model(), 3, 33));
      if (threads == 1) first = out;
      expect_same_bits(out, first, cat(name_of(dtype), ", ", threads, " threads"));
    }
  }
}

class HeadChunk : public EveryFamily {};

TEST_P(HeadChunk, ChangesNothingButRounding) {
  RunOutput first;
  for (int64_t chunk : {0, 1, 3, 34, 1000}) {
    ModelSpec chunked = spec(DType::f64);
    chunked.head_chunk = chunk;
    ModelRunner runner = lively_runner(chunked);
    set_lively(runner);
    const RunOutput out = runner.train(carried_input(runner.model(), 2, 17));
    if (chunk == 0) first = out;
    expect_close(out, first, 1e-13, cat("head_chunk ", chunk));
  }
}

class Memory : public EveryFamily {};

TEST_P(Memory, DryRunFindsTheExactPeaks) {
  for (DType dtype : {DType::f64, DType::bf16})
    for (PlanOrder order : {PlanOrder::layer, PlanOrder::segment})
      for (bool grad_cp : {false, true})
        for (const auto& segments : kSegmentations) {
          ModelRunner runner = lively_runner(spec(dtype));
          set_lively(runner);
          RunInput in = carried_input(runner.model(), 2, 17);
          in.order = order;
          in.grad_cp = grad_cp;
          in.segments = segments;
          for (const RunOutput& out : {runner.train(in), runner.forward(in)}) {
            EXPECT_EQ(out.kept_peak, out.kept_capacity);
            EXPECT_EQ(out.scratch_peak, out.scratch_capacity);
            EXPECT_TRUE(out.rewound);
          }
        }
}

TEST(Bf16, StaysCloseToFp32) {
  ModelSpec spec = tiny_spec(DType::f32);
  spec.n_embd = 64;
  spec.dim_att = spec.dim_ffn = 0;
  spec.head_size = 16;
  spec.vocab_size = 50;
  spec = family_of("x070").spec_for_new(spec);
  ModelRunner exact = lively_runner(spec);
  spec.dtype = DType::bf16;
  ModelRunner rounded = lively_runner(spec);
  set_lively(exact);
  set_lively(rounded);
  const RunInput in = random_input(exact.model(), 2, 40);
  const RunOutput a = rounded.train(in), b = exact.train(in);
  EXPECT_NEAR(a.loss, b.loss, 0.02 * b.loss);
  EXPECT_LT(distance(a.logits, b.logits), 0.03);
  std::vector<double> distances;
  for (const auto& [name, g] : b.grads) {
    distances.push_back(distance(a.grads.at(name), g));
    EXPECT_LT(distances.back(), 0.2) << name;
  }
  std::nth_element(distances.begin(), distances.begin() + static_cast<std::ptrdiff_t>(distances.size() / 2), distances.end());
  EXPECT_LT(distances[distances.size() / 2], 0.05);
}

class Frozen : public EveryFamily {};

TEST_P(Frozen, ParametersGetNoGradientAndOthersKeepTheirs) {
  ModelRunner runner = lively_runner(spec(DType::f32));
  set_lively(runner);
  const RunInput in = carried_input(runner.model(), 2, 17);
  const RunOutput all = runner.train(in);
  const auto frozen = [](const std::string& name) { return name.size() % 3 == 0 || name == "emb.weight"; };
  for (Param& p : runner.model().params.all()) p.trainable = !frozen(p.name);
  const RunOutput some = runner.train(in);
  for (const auto& [name, g] : all.grads) {
    if (frozen(name)) {
      EXPECT_EQ(some.grads.at(name), std::vector<double>(g.size())) << name;
    } else {
      EXPECT_EQ(some.grads.at(name), g) << name;
    }
  }
  EXPECT_EQ(some.dinitial_state, all.dinitial_state);
  EXPECT_EQ(some.scratch_peak, some.scratch_capacity);
}

INSTANTIATE_TEST_SUITE_P(Families, Segments, testing::ValuesIn(tiny_families()));
INSTANTIATE_TEST_SUITE_P(Families, Recomputation, testing::ValuesIn(tiny_families()));
INSTANTIATE_TEST_SUITE_P(Families, KeepingLess, testing::ValuesIn(tiny_families()));
INSTANTIATE_TEST_SUITE_P(Families, Threads, testing::ValuesIn(tiny_families()));
INSTANTIATE_TEST_SUITE_P(Families, HeadChunk, testing::ValuesIn(tiny_families()));
INSTANTIATE_TEST_SUITE_P(Families, Memory, testing::ValuesIn(tiny_families()));
INSTANTIATE_TEST_SUITE_P(Families, Frozen, testing::ValuesIn(tiny_families()));

}  // namespace
}  // namespace rk::test
