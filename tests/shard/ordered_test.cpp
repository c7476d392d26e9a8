// Sums whose order is that of the micro-batches: the same bits on any number of ranks.
#include <gtest/gtest.h>

#include <mutex>

#include "base/rng.h"
#include "comm/backends.h"
#include "kernels/elementwise/op.h"
#include "shard/shards.h"

namespace rk {
namespace {

constexpr int kMicroBatches = 5;  // over all ranks

void fill_table(ParamTable& table) {
  for (const auto& [name, shape] : std::vector<std::pair<std::string, Shape>>{
           {"a.weight", {70, 37}}, {"a.bias", {1, 1, 7}}, {"b.weight", {133, 43}}, {"b.w0", {1}}, {"c.weight", {1029}}}) {
    Param p;
    p.name = name;
    p.shape = shape;
    p.unit = name[0] - 'a';
    table.add(p);
  }
}

// Of many sizes, so that another order gives other bits.
float gradient_of(const Param& p, int64_t i, int micro) {
  const Random random(static_cast<uint64_t>(100 * p.unit + micro), 1);
  const double size = random.uniform(2 * static_cast<uint64_t>(i)) < 0.2 ? 1e4 : 1;
  return static_cast<float>(size * (random.uniform(2 * static_cast<uint64_t>(i) + 1) - 0.5));
}

struct Outcome {
  std::map<std::string, std::vector<float>> grads;
  std::vector<double> squares;
};

struct Sharing {
  int stage = 2;
  int64_t max_bucket = 1 << 20;
  DType reduce_dtype = DType::f32;
};

// Two steps of kMicroBatches each; the sums of the second.
Outcome sums(int world, const Sharing& sharing) {
  Outcome all;
  std::mutex mutex;
  run_thread_world(world, [&](Comm& comm) {
    ThreadPool pool(1);
    Arena kept(Buffer(Device::cpu, 1 << 16)), scratch(Buffer(Device::cpu, 1 << 16));
    const Exec ex{.pool = &pool, .kept = &kept, .scratch = &scratch};
    ParamTable table;
    fill_table(table);
    std::vector<std::vector<Param*>> by_unit(3);
    for (Param& p : table.all()) by_unit[static_cast<size_t>(p.unit)].push_back(&p);
    const FlatLayout layout = make_flat_layout(by_unit, world, sharing.max_bucket, kSquareBlock);
    const ShardsOptions options{.sharding = Sharding::stage(sharing.stage), .reduce_dtype = sharing.reduce_dtype, .ordered = true};
    Shards shards(ex, comm, layout, options);
    const ShardBytes planned = predict_bytes(layout, world, options), taken = shards.bytes();
    EXPECT_EQ(planned.device(), taken.device());
    std::vector<double> squares(static_cast<size_t>(SquareBlockMap(layout).n()), 0);
    const Tensor blocks{squares.data(), {static_cast<int64_t>(squares.size())}, DType::f64, Device::cpu};
    for (int step = 0; step < 2; ++step) {
      shards.start_step(ex);
      const int per_rank = (kMicroBatches + world - 1) / world;
      for (int m = 0; m < per_rank; ++m)
        for (int unit = 2; unit >= 0; --unit) {
          shards.acquire(unit);
          shards.bind_grads(ex, unit);
          const int micro = m * world + comm.rank();
          for (Param& p : table.all())
            for (int64_t i = 0; p.unit == unit && micro < kMicroBatches && i < p.numel(); ++i)
              p.dw.as<float>()[i] += gradient_of(p, i, micro + step);
          shards.grads_ready(ex, unit, m + 1 == per_rank);
          shards.release(unit);
        }
      shards.finish_grads(ex);
    }
    shards.square_blocks(ex, blocks);
    comm.all_reduce(blocks, Reduce::sum).wait();
    const std::lock_guard lock(mutex);
    all.squares = squares;
    shards.for_each_owned_grad([&](const Param& p, int64_t first, Tensor dw) {
      std::vector<float>& g = all.grads[p.name];
      g.resize(static_cast<size_t>(p.numel()));
      std::copy_n(dw.as<float>(), dw.numel(), g.begin() + first);
    });
  });
  return all;
}

TEST(OrderedSums, AreThoseOfOneRankToTheLastBit) {
  for (DType reduce_dtype : {DType::f32, DType::bf16}) {
    const Outcome alone = sums(1, {.reduce_dtype = reduce_dtype});
    ParamTable table;
    fill_table(table);
    for (const Param& p : table.all())
      for (int64_t i = 0; i < p.numel(); ++i) {
        float sum = 0;
        for (int micro = 0; micro < kMicroBatches; ++micro) {
          const float g = gradient_of(p, i, micro + 1);
          sum += reduce_dtype == DType::bf16 ? static_cast<float>(bf16(g)) : g;
        }
        ASSERT_EQ(alone.grads.at(p.name)[static_cast<size_t>(i)], sum) << p.name << " " << i;
      }
    ASSERT_EQ(alone.squares.size(), 3u + 6u + 2u);
    for (int world : {1, 2, 3, 4, 7})
      for (int stage : {2, 3})
        for (int64_t max_bucket : {int64_t{1} << 20, int64_t{2048}}) {
          const Outcome other = sums(world, {stage, max_bucket, reduce_dtype});
          EXPECT_EQ(other.grads, alone.grads) << world << " ranks, stage " << stage;
          EXPECT_EQ(other.squares, alone.squares) << world << " ranks, stage " << stage;
        }
  }
}

}  // namespace
}  // namespace rk
