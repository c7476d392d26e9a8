// What a step will take, known before anything is allocated.
#pragma once
#include <optional>
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

// What a dry run measures.
struct MeasuredRun {
  const Plan& plan;
  const BatchShape& shape;
  bool truncated = false, scales_loss = false;
};
// Peaks of the arenas over a dry run on the device of `ex`, whose own arenas are not looked at; raises `memory` where they are higher.
void measure(const Exec& ex, Model& model, const MeasuredRun& run, MemoryPlan& memory);

// A GPU as its driver tells it before anything of the run is taken: what is in use is the driver's own, and other programs'.
struct GpuMemory {
  size_t total = 0, free = 0;
  size_t used() const { return total - free; }
};

// The table that is printed before the first step, one line an entry.
std::string memory_table(const MemoryPlan& memory, int world, int zero, const std::optional<GpuMemory>& gpu = {});
// fail()s where the GPU does not have what the run will take.
void require_room(const MemoryPlan& memory, const GpuMemory& gpu);

std::string mebibytes(size_t n_bytes);  // "12.3 MiB", "4.56 GiB"

}  // namespace rk
