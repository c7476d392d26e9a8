#include "train/run_plan.h"

#include <algorithm>

#include "kernels/elementwise/op.h"
#include "shard/slots.h"
#include "train/build.h"
#include "train/ordered_sums.h"
#include "train/snapshot_folder.h"
#include "train/snapshot_start.h"

namespace rk {
namespace {

constexpr double kFilled = 0.9;      // of the free memory, above which a choice takes what needs less
constexpr int kMostWeightSlots = 4;  // gathered units under stage 3: more hides nothing

int asked_stage(const RunConfig& config, const RunPlace& place) { return config.zero >= 0 ? config.zero : place.n_ranks > 1 ? 1 : 0; }
int stage_of(const RunConfig& config, const RunPlace& place) {
  const int asked = asked_stage(config, place);
  return config.deterministic_reduce ? std::max(asked, 2) : asked;
}

PlanRequest request_of(const RunConfig& config, const BatchShape& shape, int zero, int n_units) {
  PlanRequest r{.n_units = n_units, .n_micro = static_cast<int>(shape.micro), .n_segments = static_cast<int>(shape.n_segments())};
  // ZeRO-3 gathers a unit once for all its segments in layer order; otherwise segment order keeps less.
  // Ordered sums need a micro-batch's gradients in one piece.
  const bool whole = zero == 3 || r.n_segments == 1 || config.deterministic_reduce;
  const bool by_layer = config.plan_order == "layer" || (config.plan_order == "auto" && whole);
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
          .reduce_dtype = config.reduce_dtype == "bf16" ? DType::bf16 : DType::f32,
          .offload_state = config.offload_optimizer && on_gpu,
          .offload_params = config.offload_params && on_gpu,
          .ordered = config.deterministic_reduce,
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
  if (plan.shards.ordered)
    m.sums = OrderedSums::n_bytes({.samples = plan.shape.micro * place.n_ranks, .B = 1, .world = place.n_ranks},
                                  SquareBlockMap(plan.layout).n());
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

// What leaves a rank and comes to it in one step for sums whose order is that of the step's micro-batches, and what would otherwise.
void remark_on_ordered_sums(RunPlan& plan, const RunConfig& config, const RunPlace& place) {
  if (!config.deterministic_reduce) return;
  const double world = plan.layout.world, part = (world - 1) / world;
  const auto sent = static_cast<double>(static_cast<size_t>(plan.layout.n()) * size_of(inbox_dtype(place.n_ranks, plan.shards)));
  const auto n_micro = static_cast<double>(plan.shape.micro);
  const int asked = asked_stage(config, place);
  const auto bytes = [](double n) { return mebibytes(static_cast<size_t>(n)); };
  std::string line = cat("--deterministic_reduce: gradients are added up in the order of micro-batches, ",
                         asked < 2 ? "divided as under ZeRO-2; " : "", "each rank sends ", bytes(part * sent * n_micro), " of them a step");
  const double usual = part * sent * (asked >= 2 ? n_micro : asked == 1 ? 1 : 2);
  if (usual != part * sent * n_micro) line += cat(" instead of ", bytes(usual));
  plan.remarks.push_back(cat(line, ", adds ", bytes(sent * n_micro), " to sums of its own, and ",
                             bytes(static_cast<double>(plan.memory.sums)), " of losses and squares are reduced"));
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
          .segment = config.chunk_ctx > 0 ? std::min(config.chunk_ctx, config.ctx_len) : config.ctx_len,
          .resets = config.doc_reset == 1 || (config.doc_reset == -1 && config.dataload == "pack")};
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
  if (wants_validation(config)) plan.validation = plan_forward(n_units, request.n_segments);
  const int64_t max_bucket = (config.bucket_mib << 20) / static_cast<int64_t>(sizeof(float));
  plan.layout = flat_layout(model, by_node(config, place) ? place.n_ranks / place.n_nodes : place.n_ranks, max_bucket,
                            config.deterministic_reduce ? kSquareBlock : kPlacementAlign);
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
  remark(plan, config, place);
  return plan;
}

void remark(RunPlan& plan, const RunConfig& config, const RunPlace& place) {
  plan.remarks.clear();
  remark_on_order(plan);
  remark_on_groups(plan, config, place);
  remark_on_ordered_sums(plan, config, place);
}

}  // namespace rk
