#include "train/run_plan.h"

#include <algorithm>

#include "train/build.h"
#include "train/snapshot_folder.h"
#include "train/snapshot_start.h"

namespace rk {
namespace {

constexpr double kFilled = 0.9;      // of the free memory, above which a choice takes what needs less
constexpr int kMostWeightSlots = 4;  // gathered units under stage 3: more hides nothing

int stage_of(const RunConfig& config, const RunPlace& place) { return config.zero >= 0 ? config.zero : place.n_ranks > 1 ? 1 : 0; }

PlanRequest request_of(const RunConfig& config, const BatchShape& shape, int zero, int n_units) {
  PlanRequest r{.n_units = n_units, .n_micro = static_cast<int>(shape.micro), .n_segments = static_cast<int>(shape.n_segments())};
  // ZeRO-3 gathers a unit once for all its segments in layer order; otherwise segment order keeps less.
  const bool by_layer = config.plan_order == "layer" || (config.plan_order == "auto" && (zero == 3 || r.n_segments == 1));
  r.order = by_layer ? PlanOrder::layer : PlanOrder::segment;
  r.grad_cp = config.grad_cp;
  r.truncated = config.bptt == "truncated";
  r.reduce_each_micro = zero >= 2;
  return r;
}

bool by_node(const RunConfig& config, const RunPlace& place) { return config.zero_group == "node" && place.n_nodes > 1; }

ShardsOptions shards_options(const RunConfig& config, const Model& model, Device device, int zero, const RunPlace& place) {
  const bool on_gpu = device == Device::cuda;
  return {.dtype = model.dtype,
          .sharding = Sharding::stage(zero),
          .training = true,
          .weight_decay = config.weight_decay,
          .reduce_dtype = config.reduce_dtype == "bf16" ? DType::bf16 : DType::f32,
          .offload_state = config.offload_optimizer && on_gpu,
          .offload_params = config.offload_params && on_gpu,
          .inbox = on_gpu && place.n_ranks > 1 && (place.n_nodes == 1 || by_node(config, place)),
          .node = by_node(config, place) ? place.node : -1};
}

// The whole world once, the ranks that divide the model once for weights and once for gradients, and who holds the same part.
size_t communication_bytes(const RunPlan& plan, const RunPlace& place) {
  if (place.n_ranks == 1) return 0;
  return kCommunicatorBytes * static_cast<size_t>((plan.shards.node >= 0 ? 4 : 3) - place.n_open);
}

// Dry runs of every plan of the run.
MemoryPlan predict(const Exec& bare, Model& model, const RunPlan& plan, const RunPlace& place) {
  Exec ex = bare;
  ex.keep_less = plan.keep_less;
  MemoryPlan m;
  m.shards = predict_bytes(plan.layout, place.n_ranks, plan.shards);
  measure(ex, model, {plan.step, plan.shape, plan.truncated, plan.scales_loss}, m);
  m.batches = Batcher::n_bytes(plan.shape);
  if (!plan.validation.empty()) {
    BatchShape shape = plan.shape;
    shape.micro = 1;
    measure(ex, model, {plan.validation, shape}, m);
    m.batches += Batcher::n_bytes(shape);
  }
  Arena sums(bare.device);
  Exec dry = ex;
  dry.scratch = &sums;
  Shards::measure(dry, plan.layout, plan.shards);
  m.scratch = std::max(m.scratch, sums.peak());
  if (bare.device != Device::cuda) return m;
  m.staging = 2 * m.batches;
  m.communication = communication_bytes(plan, place);
  m.driver = (place.gpu ? place.gpu->used() : kContextBytes) + kDriverLater;
  return m;
}

bool saves_on_the_way(const RunConfig& c) {
  return c.save_every.every > 0 || c.epoch_save > 0 || c.snapshot_every.every > 0 || (c.keep_best > 0 && c.val_every > 0);
}

// Whether saves are written from a copy in host memory, or in the order of updates from where the state lies.
void choose_copy(RunPlan& plan, const RunConfig& config, const Exec& bare, const RunPlace& place) {
  if (!saves_on_the_way(config)) return;
  const size_t state = 3 * static_cast<size_t>(plan.layout.n() / plan.layout.world) * size_of(acc_dtype(plan.shards.dtype));
  const auto in_node = static_cast<size_t>(std::max(1, place.n_ranks / place.n_nodes));
  // The newest one and the one that is being written.
  if (config.snapshot_every.every > 0 && lies_in_memory(snapshot_dir(config)))
    plan.memory.snapshots = 2 * state * (config.snapshot_partner && place.n_nodes > 1 ? 2 : 1);
  const size_t without = plan.memory.on_host() + (bare.device == Device::cuda ? 0 : plan.memory.total());
  // What is offloaded fills the host: a copy is not expected to fit where nothing is known of it.
  const bool fits = place.host > 0 ? static_cast<double>((without + state) * in_node) <= kFilled * static_cast<double>(place.host)
                                   : !plan.shards.offload_state;
  if (!fits) {
    plan.remarks.push_back(cat("checkpoints are written in the order of updates, which wait for the disk: ",
                               place.host > 0 ? cat("a node has ", mebibytes(place.host), ", ") : "", "no room for copies of the state, ",
                               mebibytes(state), " a rank"));
    return;
  }
  plan.copied_state = plan.memory.checkpoint = state;
}

bool fills(const RunPlan& plan) {
  return plan.gpu && static_cast<double>(needed_room(plan.memory)) > kFilled * static_cast<double>(plan.gpu->free);
}

// Units that are gathered ahead need a place each: as many as memory is left for.
void choose_weight_slots(RunPlan& plan, const RunPlace& place) {
  if (!plan.gpu || place.n_ranks == 1 || !plan.shards.sharding.params) return;
  for (int slots = kMostWeightSlots; slots >= 2; --slots) {
    plan.shards.weight_slots = slots;
    plan.memory.shards = predict_bytes(plan.layout, place.n_ranks, plan.shards);
    if (!fills(plan)) return;
  }
}

void remark_on_groups(RunPlan& plan, const RunConfig& config, const RunPlace& place) {
  if (config.zero_group == "node" && place.n_nodes == 1 && place.n_ranks > 1 && plan.zero > 0)
    plan.remarks.push_back("--zero_group node changes nothing here: all ranks are on one node");
}

// Gradients that leave after every segment cross the network more often, which has its price in time and not in memory.
void remark_on_order(RunPlan& plan) {
  if (plan.order != PlanOrder::segment || !plan.shards.sharding.grads || plan.layout.world == 1) return;
  const int64_t n = plan.shape.n_segments();
  if (n == 1) return;
  const auto once = static_cast<size_t>(plan.layout.n()) * size_of(plan.shards.reduce_dtype);
  plan.remarks.push_back(cat("segment order under ZeRO-", plan.zero, ": whole gradients are never held; they leave after each of ", n,
                             " segments, ", mebibytes(once * static_cast<size_t>(n)), " a micro-batch instead of ", mebibytes(once),
                             " in --plan_order layer, which keeps the activations of all segments"));
}

}  // namespace

BatchShape batch_shape(const RunConfig& config) {
  return {.micro = config.accumulate,
          .B = config.micro_bsz,
          .T = config.ctx_len,
          .segment = config.chunk_ctx > 0 ? std::min(config.chunk_ctx, config.ctx_len) : config.ctx_len};
}

RunPlan plan_run(const Exec& bare, const RunConfig& config, Model& model, const RunPlace& place) {
  const auto n_units = static_cast<int>(model.units.size());
  RunPlan plan;
  plan.zero = stage_of(config, place);
  plan.shape = batch_shape(config);
  const PlanRequest request = request_of(config, plan.shape, plan.zero, n_units);
  plan.order = request.order;
  plan.truncated = request.truncated;
  plan.scales_loss = model.dtype == DType::f16;
  plan.step = plan_step(request);
  if (!config.val_file.empty()) plan.validation = plan_forward(n_units, request.n_segments);
  const int64_t max_bucket = (config.bucket_mib << 20) / static_cast<int64_t>(sizeof(float));
  plan.layout = flat_layout(model, by_node(config, place) ? place.n_ranks / place.n_nodes : place.n_ranks, max_bucket);
  plan.shards = shards_options(config, model, bare.device, plan.zero, place);
  if (place.gpu) plan.gpu = place.gpu->limited(static_cast<size_t>(config.memory_limit_gib * (size_t{1} << 30)));

  plan.keep_less = config.keep == "less";
  plan.memory = predict(bare, model, plan, place);
  if (config.keep == "auto" && fills(plan)) {
    plan.keep_less = true;
    plan.memory = predict(bare, model, plan, place);
  }
  choose_weight_slots(plan, place);
  choose_copy(plan, config, bare, place);
  remark_on_order(plan);
  remark_on_groups(plan, config, place);
  return plan;
}

}  // namespace rk
