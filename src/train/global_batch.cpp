#include "train/global_batch.h"

#include "base/error.h"
#include "train/checkpoint.h"
#include "train/config.h"

namespace rk {

StepBatch step_batch(const RunConfig& config, int world) {
  const int64_t samples = config.global_bsz > 0 ? config.global_bsz : world * config.micro_bsz * config.accumulate;
  return {.samples = samples, .B = config.micro_bsz, .world = world};
}

void set_micro_bsz(RunConfig& config, int64_t B, int world) {
  config.global_bsz = step_batch(config, world).samples;
  config.micro_bsz = B;
  config.accumulate = step_batch(config, world).per_rank();
}

std::string batch_text(const StepBatch& b) {
  const auto of = [](int64_t n, const char* one, const char* many) { return cat(n, " ", n == 1 ? one : many); };
  std::string text = cat(of(b.samples, "sample", "samples"), " a step: ", of(b.n_micro(), "micro-batch", "micro-batches"), " of ", b.B,
                         " over ", of(b.world, "rank", "ranks"));
  if (b.samples < b.n_micro() * b.B) text += cat(", ", of(b.n_micro() * b.B - b.samples, "row is empty", "rows are empty"));
  const int64_t fewer = b.per_rank() * b.world - b.n_micro();
  if (fewer == 0) return text;
  const std::string who = fewer == 1 ? "one rank has " : cat(fewer, " ranks have ");
  return text + ", " + who + (b.per_rank() == 1 ? "none" : cat(b.per_rank() - 1, " instead of ", b.per_rank()));
}

void keep_global_batch(RunConfig& config, Start& start, int world) {
  if (start.kind != Start::Kind::checkpoint) return;
  const CheckpointState state = CheckpointReader(start.path).state();
  const auto kept = state.extra.find("real_bsz");
  if (kept == state.extra.end()) return;
  const int64_t was = std::stoll(kept->second), now = step_batch(config, world).samples;
  if (was == now) return;
  if (config.origins.contains("global_bsz"))
    fail(cat(start.path, " was made with real_bsz = ", was, ", this run has ", now, "; leave --global_bsz out, or give ", was,
             ", or begin a new run from its weights with --load_model"));
  config.global_bsz = was;
  const StepBatch batch = step_batch(config, world);
  config.accumulate = batch.per_rank();
  config.text = config_text(config);
  start.remarks.push_back(cat("as before, ", config.micro_auto ? cat(was, " samples a step") : batch_text(batch)));
}

}  // namespace rk
