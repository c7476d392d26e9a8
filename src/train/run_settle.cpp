#include "train/run_settle.h"

#include "train/global_batch.h"
#include "train/host_room.h"

namespace rk {

// The least memory that one of the ranks' GPUs has.
RunSite find_site(Comm& comm, const Machine& machine) {
  RunSite site{.place = {.n_ranks = comm.size(), .n_nodes = machine.n_nodes, .node = machine.node}};
  if (!machine.gpu) return site;
  site.place.n_open = comm.size() > 1 ? 1 : 0;
  double least[] = {-static_cast<double>(machine.gpu->total_bytes()), -static_cast<double>(machine.gpu->free_bytes())};
  comm.all_reduce({least, {2}, DType::f64, Device::cpu}, Reduce::max).wait();
  site.place.gpu = GpuMemory{static_cast<size_t>(-least[0]), static_cast<size_t>(-least[1])};
  site.rates = rates_for(machine.gpu->name());
  return site;
}

std::string settle_micro_bsz(Comm& comm, const Exec& bare, Model& model, RunConfig& config, const RunSite& site) {
  int64_t chosen = choose_micro_bsz(bare, model, {config, site.place, site.rates});
  comm.broadcast({&chosen, {1}, DType::i64, Device::cpu}, 0).wait();  // GPUs may differ
  set_micro_bsz(config, chosen, comm.size());
  return cat("--micro_bsz auto: ", config.micro_bsz, ", accumulated ", config.accumulate, config.accumulate == 1 ? " time" : " times");
}

std::string require_fit(const Exec& bare, Model& model, const RunConfig& config, const RunPlan& run, const RunSite& site) {
  if (!run.fits()) require_room(run.memory, *run.gpu, advice(suggest(bare, model, {config, site.place, site.rates}, 3)));
  if (!run.shards.offload_state) return {};
  return check_host_room(run.memory.on_host() * static_cast<size_t>(site.place.n_ranks / site.place.n_nodes));
}

}  // namespace rk
