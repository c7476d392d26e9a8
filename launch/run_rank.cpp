#include "launch/run_rank.h"

#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/log.h"
#include "comm/agree.h"
#include "comm/backends.h"
#include "comm/places.h"
#include "launch/identity.h"
#include "launch/mpirun.h"
#include "launch/signals.h"
#include "train/config.h"

namespace rk {
namespace {

// Ranks of one host share its cores; a rank that mpirun bound to some cores has those.
int threads_of(const RunConfig& config, Comm& comm) {
  if (config.threads > 0) return config.threads;
  const int share = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN)) / local_size(comm);
  return std::max(1, std::min(n_cores(), share));
}

// Which node this rank is on; ranks that divide a model node by node need nodes of one size.
void find_node(const RunConfig& config, Comm& comm, Machine& machine) {
  const NodePlace place = place_of_node(comm);
  if (config.zero_group == "node" && place.fewest != place.most)
    fail(cat("--zero_group node needs equally many ranks on every node, but there are between ", place.fewest, " and ", place.most,
             "; start as many on each, or use --zero_group world"));
  machine.node = place.index;
  machine.n_nodes = place.n_nodes;
}

}  // namespace

RunRank::RunRank(const std::function<RunConfig()>& parse) : comm(under_mpi() ? make_mpi_comm() : make_self_comm()) {
  set_log_voice(comm->rank() == 0, comm->size() > 1 ? cat("[rank ", comm->rank(), "/", comm->size(), "] ") : "");
  if (under_mpi()) die_with_parent();
  agree_on_options(parse);
  const int gpu_index = choose_device();
  roll_call(gpu_index);
  machine.threads = threads_of(config, *comm);
  find_node(config, *comm, machine);
  if (gpu_index >= 0) take_gpu(gpu_index);
}

void RunRank::agree_on_options(const std::function<RunConfig()>& parse) {
  agree(*comm, [&] {
    config = parse();
    if (!under_mpi() && config.num_nodes > 1)
      fail(cat("--num_nodes ", config.num_nodes, " needs a start by `rookery launch` on every node, or by mpirun or srun"));
    if (under_mpi() && config.max_restarts > 0)
      config.notes.push_back(cat("--max_restarts ", config.max_restarts, " has no effect under a typed mpirun or srun"));
    validate(config, comm->size());
    check_files(config);
  });
}

// The index of the GPU that this rank will take; -1: none.
int RunRank::choose_device() {
  int index = -1;
  agree(*comm, [&] {
    if (config.accelerator == "cuda" && config.train_stage != 1) index = choose_gpu(local_rank(*comm), local_size(*comm), n_gpus());
  });
  return index;
}

// Ranks that differ here would hang or compute nonsense later.
void RunRank::roll_call(int gpu_index) {
  RankCard mine;
  agree(*comm, [&] { mine = make_rank_card(config, gpu_index); });
  const std::vector<RankCard> cards = call_roll(*comm, mine);
  if (const std::string differences = roll_differences(cards); !differences.empty())
    fail(cat("the ranks of this job differ in what must be the same:\n", differences,
             "\nstart the same program with the same options, data and libraries on every host"));
  for (const std::string& line : roll_table(cards)) log_info(line);
  for (const std::string& line : roll_warnings(cards)) log_warning(line);
}

void RunRank::take_gpu(int gpu_index) {
  agree(*comm, [&] { gpu.emplace(GpuOptions{.index = gpu_index}); });
  check_gpus_differ(*comm, gpu->uuid());
  machine.gpu = &*gpu;
  comm = comm->size() > 1 ? make_gpu_comm(std::move(comm), *gpu) : make_self_comm(machine.gpu);
}

}  // namespace rk
