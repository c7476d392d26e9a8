#include "train/memory_plan.h"

#include <algorithm>
#include <cstdio>

#include "train/runner.h"

namespace rk {

void measure(Model& model, const Plan& plan, const BatchShape& shape, bool truncated, MemoryPlan& memory, ThreadPool& pool) {
  Arena kept, scratch;
  const Exec ex{.pool = &pool, .kept = &kept, .scratch = &scratch};
  std::vector<std::vector<Segment>> micro(static_cast<size_t>(shape.micro));
  for (auto& segments : micro)
    for (int64_t t = 0; t < shape.T; t += shape.segment) {
      Segment s;
      s.B = shape.B;
      s.T = std::min(shape.segment, shape.T - t);
      s.tokens = s.targets = {nullptr, {s.B, s.T}, DType::i32, Device::cpu};
      s.weights = {nullptr, {s.B, s.T}, DType::f32, Device::cpu};
      s.loss_sum = {nullptr, {1}, DType::f64, Device::cpu};
      segments.push_back(s);
    }
  Runner runner(model, nullptr);
  StepIo io;
  io.micro = micro;
  io.truncated = truncated;
  runner.run(ex, plan, io);
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

std::string memory_table(const MemoryPlan& m, int world, int zero) {
  std::string table = cat("memory of each of ", world, world == 1 ? " rank" : " ranks", ", ZeRO-", zero, ":\n");
  const auto line = [&](const char* what, size_t n_bytes) {
    char text[96];
    std::snprintf(text, sizeof text, "  %-38s %12s\n", what, mebibytes(n_bytes).c_str());
    table += text;
  };
  line("weights", m.shards.params);
  line("gradients", m.shards.grads);
  line("optimizer state", m.shards.state);
  if (m.shards.transient) line("gathered weights, leaving gradients", m.shards.transient);
  line("activations kept for backward", m.kept);
  line("scratch", m.scratch);
  line("batches", m.batches);
  line("sum", m.total());
  table.pop_back();
  return table;
}

}  // namespace rk
