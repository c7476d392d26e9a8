// What a step will take, known before anything is allocated.
#pragma once
#include <string>

#include "nn/unit.h"
#include "shard/shards.h"
#include "train/batcher.h"
#include "train/plan.h"

namespace rk {

struct MemoryPlan {
  ShardBytes shards;
  size_t kept = 0, scratch = 0;  // peaks of the arenas over all plans of the run
  size_t batches = 0;
  size_t total() const { return shards.params + shards.grads + shards.state + shards.transient + kept + scratch + batches; }
};

// Peaks of the arenas over a dry run of `plan` on segments of `shape`; raises `memory` where they are higher.
void measure(Model& model, const Plan& plan, const BatchShape& shape, bool truncated, MemoryPlan& memory, ThreadPool& pool);

// The table that is printed before the first step, one line an entry.
std::string memory_table(const MemoryPlan& memory, int world, int zero);

std::string mebibytes(size_t n_bytes);  // "12.3 MiB", "4.56 GiB"

}  // namespace rk
