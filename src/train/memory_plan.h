// What a step will take, known before anything is allocated.
#pragma once
#include <optional>
#include <string>

#include "nn/unit.h"
#include "shard/shards.h"
#include "train/batcher.h"
#include "train/plan.h"

namespace rk {

// What lies on a GPU beside the buffers of a run, as nvidia-smi shows it; measured, and the same for every model.
inline constexpr size_t kContextBytes = size_t{264} << 20;       // the driver's, for a program that has made its stream and cuBLASLt handle
inline constexpr size_t kDriverLater = size_t{256} << 20;        // kernels are loaded at their first use, buffers are rounded up
inline constexpr size_t kCommunicatorBytes = size_t{428} << 20;  // NCCL's, of one communicator; the mean of three on two H200 with NVLink

struct MemoryPlan {
  ShardBytes shards;
  size_t kept = 0, scratch = 0;  // peaks of the arenas over all plans of the run
  size_t batches = 0;
  size_t sums = 0;                       // by micro-batch and block, of --deterministic_reduce
  size_t communication = 0, driver = 0;  // of a GPU, beside the buffers above; driver: at the end, other programs' included
  size_t staging = 0, checkpoint = 0;    // of host memory beside a GPU's run: what is on its way, and a checkpoint that is being written
  size_t total() const { return shards.device() + kept + scratch + batches + sums; }
  size_t on_gpu() const { return total() + communication + driver; }
  size_t on_host() const { return shards.host + staging + checkpoint; }
};

// What a dry run measures.
struct MeasuredRun {
  const Plan& plan;
  const BatchShape& shape;
  bool truncated = false, scales_loss = false;
  size_t* visit = nullptr;  // StepIo::visit
};
// Peaks of the arenas over a dry run on the device of `ex`, whose own arenas are not looked at; raises `memory` where they are higher.
// Needs no GPU, also where the device is one.
void measure(const Exec& ex, Model& model, const MeasuredRun& run, MemoryPlan& memory);

// A GPU as its driver tells it before anything of the run is taken: what is in use is the driver's own, and other programs'.
struct GpuMemory {
  size_t total = 0, free = 0;
  size_t used() const { return total - free; }
  // The same for a run that may use `limit` bytes, what is in use now included; 0 = no limit.
  GpuMemory limited(size_t limit) const;
};

// The table that is printed before the first step, one line an entry.
std::string memory_table(const MemoryPlan& memory, int world, int zero, const std::optional<GpuMemory>& gpu = {});
// What has to be free on the GPU before the run takes anything.
size_t needed_room(const MemoryPlan& memory);
// fail()s where the GPU does not have what the run will take. advice: what to do about it.
void require_room(const MemoryPlan& memory, const GpuMemory& gpu,
                  const std::string& advice = "use a smaller --micro_bsz or --ctx_len, --grad_cp 1, or --chunk_ctx");

std::string mebibytes(size_t n_bytes);  // "12.3 MiB", "4.56 GiB"

}  // namespace rk
