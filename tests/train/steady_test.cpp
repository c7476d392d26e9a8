// After the first step, running a plan takes no memory from the heap, and its arenas are exactly as large as the dry run said.
#include <gtest/gtest.h>

#include "comm/backends.h"
#include "kernels/step_control/op.h"
#include "model/families.h"
#include "train/batcher.h"
#include "train/build.h"
#include "train/counting_new.h"
#include "train/memory_plan.h"
#include "train/runner.h"
#include "train/step_numbers.h"

namespace rk {
namespace {

// Tokens without a file.
class CountingSource : public BatchSource {
 public:
  int64_t sample(int64_t number, const SampleRow& row) const override {
    for (size_t i = 0; i < row.tokens.size(); ++i) {
      row.tokens[i] = static_cast<int32_t>((static_cast<size_t>(number) + i) % 50);
      row.targets[i] = (row.tokens[i] + 1) % 50;
      row.weights[i] = 1;
    }
    for (size_t i = 0; i < row.resets.size(); ++i) row.resets[i] = (static_cast<size_t>(number) + i) % 7 == 3 ? 1 : 0;
    return number;
  }
  int64_t n_samples_per_pass() const override { return 1000; }
};

struct Setting {
  int zero;
  bool grad_cp;
  int64_t segment;
  PlanOrder order;
  bool resets = false;
};

class Steady : public testing::TestWithParam<Setting> {};

TEST_P(Steady, a_step_allocates_nothing_and_fits_its_arenas) {
  const Setting setting = GetParam();
  const auto comm = make_self_comm();
  ModelSpec given;
  given.arch = "x070";
  given.n_layer = 2;
  given.n_embd = 32;
  given.head_size = 8;
  given.vocab_size = 50;
  const Family& family = family_of("x070");
  const auto model = family.make(family.spec_for_new(given));
  ThreadPool pool(2);
  const BatchShape shape{.micro = 2, .B = 2, .T = 37, .segment = setting.segment, .resets = setting.resets};
  PlanRequest request{.n_units = static_cast<int>(model->units.size()), .n_micro = 2, .n_segments = static_cast<int>(shape.n_segments())};
  request.order = setting.order;
  request.grad_cp = setting.grad_cp;
  request.reduce_each_micro = setting.zero >= 2;
  const Plan plan = plan_step(request);
  MemoryPlan memory;
  const Exec bare{.pool = &pool};
  measure(bare, *model, {plan, shape}, memory);
  EXPECT_GT(memory.kept, 0u);

  Shards shards(bare, *comm, flat_layout(*model, 1), {.dtype = model->dtype, .sharding = Sharding::stage(setting.zero)});
  Arena kept(Buffer(Device::cpu, memory.kept)), scratch(Buffer(Device::cpu, memory.scratch));
  const Exec ex{.pool = &pool, .kept = &kept, .scratch = &scratch};
  load_fresh(ex, *model, shards, RunConfig{});
  Batcher batcher(shape);
  StepNumbers numbers(Device::cpu);
  numbers.set_state(ex, 0, 1, 0);
  Runner runner(*model, &shards);
  const CountingSource source;
  for (int step = 1; step <= 3; ++step) {
    const int64_t before = allocations();
    batcher.fill(ex, source, [&](int64_t m, int64_t j) { return step * 10 + m * 2 + j; });
    batcher.scale({.scale = 1 / batcher.n_targets(), .l2_scale = 1e-4 / 148, .loss_sum = numbers.loss()});
    numbers.start_step(ex);
    StepIo io;
    io.micro = batcher.micro();
    shards.start_step(ex);
    runner.run(ex, plan, io);
    shards.finish_grads(ex);
    shards.add_grad_squares(ex, numbers.squares());
    run(ex, StepControl{.squares = numbers.squares(), .loss = numbers.loss(), .state = numbers.state(), .decision = numbers.decision()});
    shards.update(ex, {.lr = 1e-3, .decision = numbers.decision()});
    numbers.queue_copy(ex);
    EXPECT_EQ(numbers.collect().adam_t, step);
    if (step > 1) {
      EXPECT_EQ(allocations() - before, 0);
    }
  }
  EXPECT_EQ(kept.peak(), memory.kept);
  EXPECT_EQ(scratch.peak(), memory.scratch);
  EXPECT_EQ(kept.mark(), 0u);
  EXPECT_EQ(scratch.mark(), 0u);
}
INSTANTIATE_TEST_SUITE_P(Plans, Steady,
                         testing::Values(Setting{0, false, 37, PlanOrder::layer}, Setting{1, true, 37, PlanOrder::layer},
                                         Setting{2, false, 16, PlanOrder::segment}, Setting{3, true, 16, PlanOrder::layer},
                                         Setting{0, true, 16, PlanOrder::segment, true}, Setting{3, false, 37, PlanOrder::layer, true}));

}  // namespace
}  // namespace rk
