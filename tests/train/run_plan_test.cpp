#include "train/run_plan.h"

#include <gtest/gtest.h>

#include "kernels/common/dispatch.h"
#include "train/build.h"
#include "train/config.h"

namespace rk {
namespace {

constexpr size_t kGiB = size_t{1} << 30;

RunConfig config_of(int64_t layers, int64_t channels) {
  RunConfig c;
  c.n_layer = layers;
  c.n_embd = channels;
  c.vocab_size = 65536;
  c.ctx_len = 4096;
  c.micro_bsz = 8;
  c.precision = "bf16";
  c.zero = 0;
  return c;
}

RunPlan planned(const RunConfig& c, Device device, const RunPlace& place) {
  ThreadPool pool(1);
  const auto model = build_model(c, {}, nullptr);
  return plan_run({.device = device, .pool = &pool}, c, *model, place);
}

RunPlace ranks(int n, int nodes = 1) {
  RunPlace p;
  p.n_ranks = n;
  p.n_nodes = nodes;
  return p;
}

TEST(RunPlan, a_gpu_run_is_planned_without_a_gpu) {
  if (!has_cuda) GTEST_SKIP() << "the build knows the CPU only";
  const RunPlan p = planned(config_of(24, 2048), Device::cuda, ranks(1));
  // Measured on one H200: 79805 MiB.
  EXPECT_NEAR(static_cast<double>(p.memory.on_gpu()) / (1 << 20), 79805, 0.05 * 79805);
  RunConfig grad_cp = config_of(24, 2048);
  grad_cp.grad_cp = true;
  EXPECT_NEAR(static_cast<double>(planned(grad_cp, Device::cuda, ranks(1)).memory.on_gpu()) / (1 << 20), 34835, 0.05 * 34835);
  EXPECT_NEAR(static_cast<double>(planned(config_of(12, 768), Device::cuda, ranks(1)).memory.on_gpu()) / (1 << 20), 24877, 0.5 * 24877)
      << "half of the measured batch";
}

TEST(RunPlan, twice_the_ranks_hold_half_the_shards) {
  RunConfig c = config_of(4, 512);
  for (int stage : {1, 2, 3}) {
    c.zero = stage;
    const MemoryPlan few = planned(c, Device::cpu, ranks(4)).memory, many = planned(c, Device::cpu, ranks(8)).memory;
    const auto halves = [](size_t whole, size_t half) { EXPECT_NEAR(static_cast<double>(half), 0.5 * static_cast<double>(whole), 4096.0); };
    halves(few.shards.state, many.shards.state);
    if (stage >= 2) halves(few.shards.grads, many.shards.grads);
    if (stage >= 3) halves(few.shards.params, many.shards.params);
    EXPECT_EQ(few.kept, many.kept) << "activations are each rank's own";
  }
}

TEST(RunPlan, groups_of_a_node_hold_what_a_node_alone_would) {
  RunConfig c = config_of(4, 512);
  c.zero = 2;
  const size_t alone = planned(c, Device::cpu, ranks(8)).memory.shards.state;
  EXPECT_LT(planned(c, Device::cpu, ranks(32, 4)).memory.shards.state, alone);
  c.zero_group = "node";
  EXPECT_EQ(planned(c, Device::cpu, ranks(32, 4)).memory.shards.state, alone);
}

TEST(RunPlan, a_limit_makes_the_gpu_smaller) {
  const GpuMemory gpu{80 * kGiB, 79 * kGiB};
  const GpuMemory limited = gpu.limited(24 * kGiB);
  EXPECT_EQ(limited.total, 24 * kGiB);
  EXPECT_EQ(limited.free, 23 * kGiB);
  EXPECT_EQ(gpu.limited(0).free, gpu.free);
  EXPECT_EQ(gpu.limited(96 * kGiB).total, gpu.total);
  EXPECT_EQ(gpu.limited(kGiB / 2).free, 0u);

  if (!has_cuda) GTEST_SKIP() << "the build knows the CPU only";
  RunConfig c = config_of(24, 2048);
  c.memory_limit_gib = 60;
  RunPlace place = ranks(1);
  place.gpu = gpu;
  const RunPlan less = planned(c, Device::cuda, place);
  EXPECT_TRUE(less.keep_less) << "all of it would take 78 GiB";
  c.memory_limit_gib = 24;
  const RunPlan none = planned(c, Device::cuda, place);
  EXPECT_FALSE(none.fits());
  EXPECT_THROW(require_room(none.memory, *none.gpu), Error);
}

TEST(RunPlan, units_are_gathered_ahead_where_there_is_room) {
  if (!has_cuda) GTEST_SKIP() << "the build knows the CPU only";
  RunConfig c = config_of(12, 768);
  c.zero = 3;
  RunPlace place = ranks(4);
  place.gpu = GpuMemory{80 * kGiB, 79 * kGiB};
  EXPECT_EQ(planned(c, Device::cuda, place).shards.weight_slots, 4);
  const size_t needed = needed_room(planned(c, Device::cuda, place).memory);
  place.gpu = GpuMemory{needed + kGiB, needed};
  c.keep = "all";
  EXPECT_EQ(planned(c, Device::cuda, place).shards.weight_slots, 2);
}

TEST(RunPlan, segment_order_under_stage_2_says_what_it_sends) {
  RunConfig c = config_of(2, 256);
  c.zero = 2;
  c.chunk_ctx = 1024;
  const RunPlan p = planned(c, Device::cpu, ranks(2));
  EXPECT_EQ(p.order, PlanOrder::segment);
  ASSERT_EQ(p.remarks.size(), 1u);
  EXPECT_NE(p.remarks[0].find("4 segments"), std::string::npos) << p.remarks[0];
  c.plan_order = "layer";
  EXPECT_TRUE(planned(c, Device::cpu, ranks(2)).remarks.empty());
}

}  // namespace
}  // namespace rk
