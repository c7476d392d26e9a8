// RWKV-4 and the parts of old models that other families have, too.
#include <gtest/gtest.h>

#include "support/model_objective.h"

namespace rk::test {
namespace {

OldParts no_parts() { return {}; }
OldParts copying() { return {.head_qk = 5}; }
OldParts attention(int64_t layer) { return {.tiny_att_dim = 6, .tiny_att_layer = layer}; }
OldParts positions() { return {.pos_emb = 3}; }
OldParts channel_mix_first() { return {.pre_ffn = true}; }
OldParts all_parts() { return {.head_qk = 3, .tiny_att_dim = 4, .tiny_att_layer = 1, .pos_emb = 3, .pre_ffn = true, .ctx_len = 9}; }

// Those that families other than RWKV-4 have.
OldParts shared_parts() { return {.head_qk = 3, .tiny_att_dim = 4, .tiny_att_layer = 0, .pos_emb = 3}; }

struct OldCase {
  const char* name;
  OldParts parts;
  int64_t n_layer = 2, T = 8;
  const char* arch = "x040";
  ModelSpec spec(DType dtype) const {
    ModelSpec s = tiny_model(arch, dtype, n_layer);
    s.old = parts;
    return s;
  }
};
void PrintTo(const OldCase& c, std::ostream* out) {
  *out << c.arch << " with " << c.name << ", " << c.n_layer << " layers, " << c.T << " tokens";
}

class OldModel : public testing::TestWithParam<OldCase> {};

TEST_P(OldModel, GradientsAreDerivatives) {
  const OldCase& c = GetParam();
  Objective objective(c.spec(DType::f64), c.T);
  expect_gradients(objective);
}

// Chunks of the head and of the logits' rows that are not those of sequences, and other thread counts.
TEST_P(OldModel, ChunksOfTheHeadChangeNothingButRounding) {
  const OldCase& c = GetParam();
  RunOutput first;
  for (int64_t chunk : {0, 1, 3, 7, 1000}) {
    ModelSpec spec = c.spec(DType::f64);
    spec.head_chunk = chunk;
    LivelyRunner runner(spec, chunk == 3 ? 1 : 3);
    RunInput in = random_input(runner.model(), 2, c.T);
    in.l2_factor = 1e-2;
    in.grad_cp = chunk == 1;
    const RunOutput out = runner.train(in);
    EXPECT_EQ(out.kept_peak, out.kept_capacity);
    EXPECT_EQ(out.scratch_peak, out.scratch_capacity);
    EXPECT_TRUE(out.rewound);
    if (chunk == 0) first = out;
    EXPECT_NEAR(out.loss, first.loss, 1e-12 * first.loss);
    for (const auto& [name, g] : first.grads) EXPECT_LE(distance(out.grads.at(name), g), 1e-11) << chunk << ": " << name;
  }
}

TEST_P(OldModel, Bf16StaysCloseToFp32) {
  const OldCase& c = GetParam();
  std::vector<RunOutput> outs;
  for (DType dtype : {DType::f32, DType::bf16}) {
    LivelyRunner runner(c.spec(dtype));
    outs.push_back(runner.train(random_input(runner.model(), 2, c.T)));
  }
  EXPECT_NEAR(outs[1].loss, outs[0].loss, 0.02 * outs[0].loss);
  EXPECT_LT(distance(outs[1].logits, outs[0].logits), 0.05);
}

TEST_P(OldModel, ThreadsDoNotChangeBits) {
  const OldCase& c = GetParam();
  RunOutput first;
  for (int threads : {1, 2, 5}) {
    LivelyRunner runner(c.spec(DType::bf16), threads);
    const RunOutput out = runner.train(random_input(runner.model(), 3, c.T));
    if (threads == 1) first = out;
    EXPECT_EQ(out.logits, first.logits);
    EXPECT_EQ(out.grads, first.grads);
  }
}

TEST_P(OldModel, FrozenParametersGetNoGradientAndOthersKeepTheirs) {
  const OldCase& c = GetParam();
  LivelyRunner runner(c.spec(DType::f32));
  const RunInput in = random_input(runner.model(), 2, c.T);
  const RunOutput all = runner.train(in);
  for (size_t third : {0, 1, 2}) {
    const auto frozen = [&](const std::string& name) { return name.size() % 3 == third; };
    for (Param& p : runner.model().params.all()) p.trainable = !frozen(p.name);
    const RunOutput some = runner.train(in);
    for (const auto& [name, g] : all.grads) EXPECT_EQ(some.grads.at(name), frozen(name) ? std::vector<double>(g.size()) : g) << name;
    EXPECT_EQ(some.scratch_peak, some.scratch_capacity);
  }
}

INSTANTIATE_TEST_SUITE_P(Parts, OldModel,
                         testing::Values(OldCase{"none", no_parts(), 1, 1}, OldCase{"none", no_parts(), 2, 17},
                                         OldCase{"head_qk", copying()}, OldCase{"head_qk", copying(), 1, 1},
                                         OldCase{"tiny_att", attention(0)}, OldCase{"tiny_att", attention(1)},
                                         OldCase{"my_pos_emb", positions()}, OldCase{"pre_ffn", channel_mix_first()},
                                         OldCase{"pre_ffn", channel_mix_first(), 1, 5}, OldCase{"all", all_parts(), 3, 8},
                                         OldCase{"shared parts", shared_parts(), 2, 8, "x052"},
                                         OldCase{"shared parts", shared_parts(), 2, 8, "x060"}));

}  // namespace
}  // namespace rk::test
