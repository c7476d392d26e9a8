#include "train/memory_plan.h"

#include <algorithm>
#include <cstdio>

#include "train/runner.h"

namespace rk {

void measure(const Exec& ex, Model& model, const MeasuredRun& run, MemoryPlan& memory) {
  const BatchShape& shape = run.shape;
  Arena kept(ex.device), scratch(ex.device);
  Exec dry = ex;
  dry.kept = &kept;
  dry.scratch = &scratch;
  std::vector<std::vector<Segment>> micro(static_cast<size_t>(shape.micro));
  for (auto& segments : micro)
    for (int64_t t = 0; t < shape.T; t += shape.segment) {
      Segment s;
      s.B = shape.B;
      s.T = std::min(shape.segment, shape.T - t);
      s.tokens = s.targets = {nullptr, {s.B, s.T}, DType::i32, ex.device};
      s.weights = {nullptr, {s.B, s.T}, DType::f32, ex.device};
      if (shape.resets) s.resets = {nullptr, {s.B, s.T}, DType::u8, ex.device};
      s.loss_sum = {nullptr, {1}, DType::f64, ex.device};
      if (run.scales_loss) s.loss_scale = s.loss_sum;
      segments.push_back(s);
    }
  Runner runner(model, nullptr);
  StepIo io;
  io.micro = micro;
  io.truncated = run.truncated;
  io.visit = run.visit;
  runner.run(dry, run.plan, io);
  memory.kept = std::max(memory.kept, kept.peak());
  memory.scratch = std::max(memory.scratch, scratch.peak());
}

std::string mebibytes(size_t n_bytes) {
  char text[32];
  const double mib = static_cast<double>(n_bytes) / (1 << 20);
  if (mib < 1024) {
    std::snprintf(text, sizeof text, "%.1f MiB", mib);
  } else {
    std::snprintf(text, sizeof text, "%.2f GiB", mib / 1024);
  }
  return text;
}

GpuMemory GpuMemory::limited(size_t limit) const {
  if (limit == 0 || limit >= total) return *this;
  return {limit, used() < limit ? std::min(free, limit - used()) : 0};
}

std::string memory_table(const MemoryPlan& m, int world, int zero, const std::optional<GpuMemory>& gpu) {
  std::string table = cat("memory of each of ", world, world == 1 ? " rank" : " ranks", ", ZeRO-", zero, gpu ? ", on its GPU:\n" : ":\n");
  const auto line = [&](const char* what, size_t n_bytes) {
    if (n_bytes == 0) return;
    char text[96];
    std::snprintf(text, sizeof text, "  %-38s %12s\n", what, mebibytes(n_bytes).c_str());
    table += text;
  };
  line("weights", m.shards.params);
  line("gradients", m.shards.grads);
  line("optimizer state", m.shards.state);
  line("gathered weights, leaving gradients", m.shards.transient);
  line("activations kept for backward", m.kept);
  line(gpu ? "scratch, with that of matrix products" : "scratch", m.scratch);
  line("batches", m.batches);
  line("sums by micro-batch and block", m.sums);
  if (gpu) {
    line("communication (NCCL)", m.communication);
    line("driver and other programs", m.driver);
    line("sum, as nvidia-smi shows it", m.on_gpu());
    line("the GPU has", gpu->total);
    table += "on the host:\n";
    line("gradients and optimizer state, offloaded", m.shards.host);
    line("batches and values on their way", m.staging);
    line("a copy of the state, for checkpoints", m.checkpoint);
    line("snapshots", m.snapshots);
    line("sum", m.on_host());
  } else {
    line("sum", m.total());
    line("a copy of the state, for checkpoints", m.checkpoint);
    line("snapshots, in this host's memory", m.snapshots);
  }
  table.pop_back();
  return table;
}

size_t needed_room(const MemoryPlan& m) { return m.total() + m.communication + kDriverLater; }

void require_room(const MemoryPlan& m, const GpuMemory& gpu, const std::string& advice) {
  if (needed_room(m) <= gpu.free) return;
  fail(cat("the run needs ", mebibytes(needed_room(m)), " on the GPU, which has ", mebibytes(gpu.free), " free of ", mebibytes(gpu.total),
           "; ", advice));
}

}  // namespace rk
