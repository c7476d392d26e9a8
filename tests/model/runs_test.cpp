// The same numbers whichever way a model is run.
#include <gtest/gtest.h>

#include "support/tiny_model.h"

namespace rk::test {
namespace {

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

const std::vector<std::vector<int64_t>> kSegmentations{{9, 8}, {1, 5, 4, 7}, {16, 1}, std::vector<int64_t>(17, 1)};

class AnyModel : public testing::TestWithParam<std::string> {
 protected:
  static ModelSpec spec(DType dtype, int64_t n_layer = 2) { return tiny_model(GetParam(), dtype, n_layer); }
};
INSTANTIATE_TEST_SUITE_P(Kinds, AnyModel, testing::ValuesIn(tiny_kinds()), kind_name);

TEST_P(AnyModel, SegmentsEqualTheWholeInDouble) {
  LivelyRunner runner(spec(DType::f64));
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

TEST_P(AnyModel, TruncationStopsGradientsButNotValues) {
  LivelyRunner runner(spec(DType::f64));
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

TEST_P(AnyModel, TokenByTokenDecodesTheSameLogits) {
  for (DType dtype : {DType::f64, DType::f32}) {
    LivelyRunner runner(spec(dtype));
    RunInput in = random_input(runner.model(), 2, 17);
    in.targets.clear();
    const RunOutput whole = runner.forward(in);
    in.segments = std::vector<int64_t>(17, 1);
    EXPECT_LE(distance(runner.forward(in).logits, whole.logits), dtype == DType::f64 ? 1e-13 : 1e-5);
  }
}

TEST_P(AnyModel, RecomputationGivesTheSameBits) {
  for (DType dtype : {DType::f64, DType::f32, DType::bf16})
    for (PlanOrder order : {PlanOrder::layer, PlanOrder::segment}) {
      LivelyRunner runner(spec(dtype, 3));
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

TEST_P(AnyModel, KeepingLessGivesTheSameBits) {
  for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    LivelyRunner runner(spec(dtype, 3));
    RunInput in = carried_input(runner.model(), 2, 17);
    in.segments = {7, 10};
    const RunOutput all = runner.train(in);
    in.keep_less = true;
    const RunOutput less = runner.train(in);
    expect_same_bits(less, all, name_of(dtype));
    EXPECT_LT(less.kept_peak, all.kept_peak);
  }
}

TEST_P(AnyModel, ThreadsDoNotChangeBits) {
  for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    RunOutput first;
    for (int threads : {1, 2, 5}) {
      LivelyRunner runner(spec(dtype), threads);
      const RunOutput out = runner.train(carried_input(runner.model(), 3, 33));
      if (threads == 1) first = out;
      expect_same_bits(out, first, cat(name_of(dtype), ", ", threads, " threads"));
    }
  }
}

TEST(HeadChunk, ChangesNothingButRounding) {
  RunOutput first;
  for (int64_t chunk : {0, 1, 3, 34, 1000}) {
    ModelSpec spec = tiny_spec(DType::f64);
    spec.head_chunk = chunk;
    LivelyRunner runner(spec);
    const RunOutput out = runner.train(carried_input(runner.model(), 2, 17));
    if (chunk == 0) first = out;
    expect_close(out, first, 1e-13, cat("head_chunk ", chunk));
  }
}

TEST_P(AnyModel, DryRunFindsTheExactPeaks) {
  for (DType dtype : {DType::f64, DType::bf16})
    for (PlanOrder order : {PlanOrder::layer, PlanOrder::segment})
      for (bool grad_cp : {false, true})
        for (const auto& segments : kSegmentations) {
          LivelyRunner runner(spec(dtype));
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
  LivelyRunner exact(spec);
  spec.dtype = DType::bf16;
  LivelyRunner rounded(spec);
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

TEST_P(AnyModel, FrozenParametersGetNoGradientAndOthersKeepTheirs) {
  LivelyRunner runner(spec(DType::f32));
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

// Numbers of the residual stream that are dropped depend on their place alone.
TEST_P(AnyModel, DroppedNumbersAreTheSameInEveryOrder) {
  LivelyRunner runner(spec(DType::f64));
  RunInput in = carried_input(runner.model(), 2, 17);
  const RunOutput all = runner.train(in);
  in.dropout = {.p = 0.3, .seed = 4};
  const RunOutput whole = runner.train(in);
  EXPECT_GT(distance(whole.logits, all.logits), 0.05);
  for (const auto& segments : kSegmentations)
    for (PlanOrder order : {PlanOrder::layer, PlanOrder::segment})
      for (bool grad_cp : {false, true}) {
        in.segments = segments;
        in.order = order;
        in.grad_cp = grad_cp;
        expect_close(runner.train(in), whole, 1e-11, cat(segments.size(), " segments, order ", static_cast<int>(order), ", ", grad_cp));
      }
}

}  // namespace
}  // namespace rk::test
