// Everything that a run decides before it takes memory, as a pure function of its options: `rookery train` does it, `rookery plan` prints
// it.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "train/memory_plan.h"
#include "train/run_config.h"

namespace rk {

// The ranks of a run and what each of them has.
struct RunPlace {
  int n_ranks = 1, n_nodes = 1, node = 0;  // node: this rank's; each has equally many ranks
  int n_open = 0;                          // NCCL communicators whose memory is in use already
  std::optional<GpuMemory> gpu;            // the least of all ranks', before --memory_limit; null: the CPU, or a GPU of any size
};

struct RunPlan {
  int zero = 0;
  PlanOrder order = PlanOrder::layer;
  bool truncated = false, scales_loss = false, keep_less = false;
  BatchShape shape;
  Plan step, validation;  // validation: empty where there is none
  FlatLayout layout;      // refers to the model's parameters
  ShardsOptions shards;
  MemoryPlan memory;
  std::optional<GpuMemory> gpu;      // as the run may use it
  std::vector<std::string> remarks;  // for whoever starts the run
  bool fits() const { return !gpu || needed_room(memory) <= gpu->free; }
};

// What one segment and one micro-batch of the options are.
BatchShape batch_shape(const RunConfig& config);

// bare: the device, with the pool of a CPU; its GPU may be null, and nothing is taken from it. config: validated. The model's sizes are
// read, its parameters are left unbound.
RunPlan plan_run(const Exec& bare, const RunConfig& config, Model& model, const RunPlace& place);
// Its remarks anew, after a change of its shape.
void remark(RunPlan& plan, const RunConfig& config, const RunPlace& place);

}  // namespace rk
