#include "shard/shards.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>
#include <mutex>
#include <numeric>

#include "comm/backends.h"
#include "kernels/step_control/op.h"

namespace rk {
namespace {

// Three units of odd sizes.
void fill_table(ParamTable& table) {
  int unit = 0;
  for (const auto& [name, shape] : std::vector<std::pair<std::string, Shape>>{
           {"a.weight", {5, 7}}, {"a.bias", {1, 1, 7}}, {"b.weight", {33, 3}}, {"b.w0", {1}}, {"c.weight", {129}}}) {
    Param p;
    p.name = name;
    p.shape = shape;
    p.unit = name[0] - 'a';
    p.decay = name.ends_with(".weight");
    p.lr_scale = name.ends_with("w0") ? 2 : 1;
    table.add(p);
    unit = p.unit;
  }
  ASSERT_EQ(unit, 2);
}

FlatLayout layout_of(ParamTable& table, int world, int64_t max_bucket = 1 << 20) {
  std::vector<std::vector<Param*>> by_unit(3);
  for (Param& p : table.all()) by_unit[static_cast<size_t>(p.unit)].push_back(&p);
  return make_flat_layout(by_unit, world, max_bucket);
}

double weight_of(const Param& p, int64_t i) { return 0.01 * static_cast<double>(i) - 0.3 * p.unit; }
// Small integers: sums are exact in any order.
double gradient_of(const Param& p, int64_t i, int rank, int micro) {
  return static_cast<double>((i + 3 * rank + 5 * micro + p.unit) % 7 - 3);
}

// How the ranks of a world share.
struct Sharing {
  int stage = 0;
  int64_t max_bucket = 1 << 20;
  int groups = 1;  // that hold everything once each
  int weight_slots = 2;
  DType reduce_dtype = DType::f32;
};

// Two steps of two micro-batches; returns all weights in table order as every rank sees them.
std::vector<double> train(Comm& comm, const Sharing& sharing, DType dtype, ShardBytes* bytes) {
  ThreadPool pool(1);
  Arena kept(Buffer(Device::cpu, 1 << 20)), scratch(Buffer(Device::cpu, 1 << 20));
  const Exec ex{.pool = &pool, .kept = &kept, .scratch = &scratch};
  ParamTable table;
  fill_table(table);
  const int group_size = comm.size() / sharing.groups;
  Shards shards(ex, comm, layout_of(table, group_size, sharing.max_bucket),
                {.dtype = dtype,
                 .sharding = Sharding::stage(sharing.stage),
                 .reduce_dtype = sharing.reduce_dtype,
                 .weight_slots = sharing.weight_slots,
                 .node = sharing.groups > 1 ? comm.rank() / group_size : -1});
  for (const Param& p : table.all()) {
    std::vector<double> values(static_cast<size_t>(p.numel()));
    for (size_t i = 0; i < values.size(); ++i) values[i] = weight_of(p, static_cast<int64_t>(i));
    shards.set(ex, p, 0, values);
  }
  for (int step = 1; step <= 2; ++step) {
    shards.start_step(ex);
    for (int micro = 0; micro < 2; ++micro)
      for (int unit = 2; unit >= 0; --unit) {
        shards.acquire(unit);
        std::vector<int> next;
        for (int u = unit - 1; u >= 0 && static_cast<int>(next.size()) < shards.prefetch_depth(); --u) next.push_back(u);
        shards.prefetch(next);
        shards.bind_grads(ex, unit);
        for (Param& p : table.all()) {
          if (p.unit != unit) continue;
          for (int64_t i = 0; i < p.numel(); ++i) {
            const double g = gradient_of(p, i, comm.rank(), micro);
            if (dtype == DType::f64) {
              p.dw.as<double>()[i] += g;
            } else {
              p.dw.as<float>()[i] += static_cast<float>(g);
            }
          }
        }
        shards.grads_ready(ex, unit, micro == 1);
        shards.release(unit);
      }
    shards.finish_grads(ex);
    Buffer sum(Device::cpu, sizeof(double));
    shards.add_grad_squares(ex, sum.tensor(DType::f64, {1}));
    comm.all_reduce(sum.tensor(DType::f64, {1}), Reduce::sum).wait();
    double expected = 0;
    for (const Param& p : table.all())
      for (int64_t i = 0; i < p.numel(); ++i) {
        double g = 0;
        for (int r = 0; r < comm.size(); ++r)
          for (int m = 0; m < 2; ++m) g += gradient_of(p, i, r, m);
        expected += g * g;
      }
    EXPECT_EQ(sum.tensor(DType::f64, {1}).as<double>()[0], expected);
    std::array<double, kStepDecisions> decision{};
    decision[kGradScale] = 0.5;
    decision[kApply] = 1;
    decision[kBias1] = 1 / (1 - std::pow(0.9, step));
    decision[kBias2] = 1 / (1 - std::pow(0.99, step));
    shards.update(ex, {.lr = 0.01, .weight_decay = 0.1, .decision = {decision.data(), {kStepDecisions}, DType::f64, Device::cpu}});
  }
  *bytes = shards.bytes();
  std::vector<double> weights;
  for (const Param& p : table.all()) {
    shards.acquire(p.unit);
    for (int64_t i = 0; i < p.numel(); ++i)
      weights.push_back(dtype == DType::f64   ? p.w.as<double>()[i]
                        : dtype == DType::f32 ? static_cast<double>(p.w.as<float>()[i])
                                              : static_cast<double>(p.w.as<bf16>()[i]));
    shards.release(p.unit);
  }
  return weights;
}

// The same by the formula of kernels/adamw/op.h, one element at a time.
std::vector<double> by_formula(int world) {
  ParamTable table;
  fill_table(table);
  std::vector<double> weights;
  for (const Param& p : table.all())
    for (int64_t i = 0; i < p.numel(); ++i) {
      double w = weight_of(p, i), m = 0, v = 0;
      for (int step = 1; step <= 2; ++step) {
        double g = 0;
        for (int r = 0; r < world; ++r)
          for (int micro = 0; micro < 2; ++micro) g += 0.5 * gradient_of(p, i, r, micro);
        m = 0.9 * m + 0.1 * g;
        v = 0.99 * v + 0.01 * g * g;
        const double u = m / (1 - std::pow(0.9, step)) / (std::sqrt(v / (1 - std::pow(0.99, step))) + 1e-18);
        w -= 0.01 * p.lr_scale * (u + (p.decay ? 0.1 : 0) * w);
      }
      weights.push_back(w);
    }
  return weights;
}

class EveryWorld : public testing::TestWithParam<int> {};

TEST_P(EveryWorld, all_stages_give_the_same_weights_on_all_ranks) {
  const int world = GetParam();
  for (DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    std::vector<double> reference;
    for (int stage = 0; stage <= 3; ++stage) {
      std::vector<std::vector<double>> of_rank(static_cast<size_t>(world));
      std::vector<ShardBytes> bytes(static_cast<size_t>(world));
      run_thread_world(world, [&](Comm& comm) {
        const auto r = static_cast<size_t>(comm.rank());
        of_rank[r] = train(comm, {.stage = stage}, dtype, &bytes[r]);
      });
      if (reference.empty()) reference = of_rank[0];
      if (dtype == DType::f64) {
        const std::vector<double> expected = by_formula(world);
        ASSERT_EQ(reference.size(), expected.size());
        for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(reference[i], expected[i], 1e-14) << i;
      }
      for (const auto& weights : of_rank) EXPECT_EQ(weights, reference) << "world " << world << " stage " << stage << " " << name_of(dtype);

      // Each stage's promise, read off the buffers: 1/N of the whole, up to the padding of three buckets.
      ParamTable table;
      fill_table(table);
      const size_t n = static_cast<size_t>(table.numel()), wide = size_of(acc_dtype(dtype)), narrow = size_of(dtype);
      const size_t padding = 3 * static_cast<size_t>(kPlacementAlign) * (2 + static_cast<size_t>(world));
      const size_t state = wide * (dtype == acc_dtype(dtype) ? 2 : 3);
      const auto share = [&](bool sharded) { return sharded ? static_cast<size_t>(world) : 1; };
      for (const ShardBytes& b : bytes) {
        EXPECT_LE(b.state, state * (n + padding) / share(stage >= 1));
        EXPECT_LE(b.grads, wide * (n + padding) / share(stage >= 2));
        EXPECT_LE(b.params, narrow * (n + padding) / share(stage >= 3));
        EXPECT_GE(b.state * share(stage >= 1), state * n);
      }
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Shards, EveryWorld, testing::Values(1, 2, 3, 4));

// Gradients are small integers, so that bf16 on the way loses nothing.
TEST(Shards, buckets_groups_slots_and_the_dtype_of_reductions_change_nothing) {
  for (int world : {2, 4}) {
    std::vector<double> reference;
    run_thread_world(world, [&](Comm& comm) {
      ShardBytes bytes;
      const auto weights = train(comm, {}, DType::f32, &bytes);
      if (comm.rank() == 0) reference = weights;
    });
    for (int stage = 0; stage <= 3; ++stage)
      for (int64_t max_bucket : {1, 64, 1 << 20})
        for (int groups : {1, 2, world})
          for (int slots : {2, 3})
            for (DType reduce : {DType::f32, DType::bf16})
              run_thread_world(world, [&](Comm& comm) {
                ShardBytes bytes;
                EXPECT_EQ(train(comm, {stage, max_bucket, groups, slots, reduce}, DType::f32, &bytes), reference)
                    << "world " << world << " stage " << stage << " buckets of " << max_bucket << " in " << groups << " groups, " << slots
                    << " slots, " << name_of(reduce);
              });
  }
}

TEST(Shards, owned_pieces_tile_every_parameter) {
  for (int world : {1, 2, 3, 5})
    for (int stage = 0; stage <= 3; ++stage) {
      std::map<std::string, std::vector<int>> covered;
      std::mutex mutex;
      run_thread_world(world, [&](Comm& comm) {
        ParamTable table;
        fill_table(table);
        Shards shards({}, comm, layout_of(table, world, 48), {.sharding = Sharding::stage(stage)});
        const std::lock_guard lock(mutex);
        for (const OwnedPiece& p : shards.owned_pieces()) {
          auto& c = covered[p.param->name];
          c.resize(static_cast<size_t>(p.param->numel()));
          for (int64_t i = 0; i < p.m.numel(); ++i) ++c[static_cast<size_t>(p.first + i)];
        }
      });
      EXPECT_EQ(covered.size(), 5u);
      for (const auto& [name, c] : covered)
        for (int times : c) EXPECT_EQ(times, 1) << name;
    }
}

TEST(FlatLayout, parameters_start_aligned_and_buckets_divide_by_the_world) {
  for (int world : {1, 2, 3, 4, 7}) {
    ParamTable table;
    fill_table(table);
    for (int64_t max_bucket : {1, 50, 1 << 20}) {
      const FlatLayout layout = layout_of(table, world, max_bucket);
      std::map<const Param*, int64_t> placed;
      for (const BucketLayout& b : layout.buckets) {
        EXPECT_EQ(b.n, b.shard * world);
        EXPECT_TRUE(b.n <= max_bucket || b.n == kPlacementAlign * world || max_bucket > 1000) << b.n;
        int64_t end = 0;
        for (const Placement& p : b.placements) {
          EXPECT_EQ(p.offset % kPlacementAlign, 0);
          EXPECT_GE(p.offset, end);
          EXPECT_EQ(p.first, placed[p.param]) << "a parameter goes on where the last bucket ended";
          placed[p.param] += p.n;
          end = p.offset + p.n;
        }
        EXPECT_LE(end, b.n);
      }
      for (const Param& p : table.all()) EXPECT_EQ(placed[&p], p.numel());
      for (int u = 0; u < layout.n_units(); ++u)
        for (size_t b = layout.first_bucket[static_cast<size_t>(u)]; b < layout.first_bucket[static_cast<size_t>(u) + 1]; ++b)
          EXPECT_EQ(layout.buckets[b].unit, u);
    }
  }
}

}  // namespace
}  // namespace rk
