// rookery train
#include <unistd.h>

#include <optional>

#include "base/log.h"
#include "comm/agree.h"
#include "comm/backends.h"
#include "comm/places.h"
#include "launch/launch.h"
#include "launch/mpirun.h"
#include "launch/rendezvous/launch_options.h"
#include "launch/run_rank.h"
#include "launch/run_record.h"
#include "launch/signals.h"
#include "launch/srun.h"
#include "launch/subcommands.h"
#include "launch/terminal.h"
#include "train/config.h"
#include "train/memory_plan.h"
#include "train/trainer.h"

namespace rk {
namespace {

bool wants_bar(const RunConfig& config) {
  if (config.progress != "auto") return config.progress == "bar";
  return !under_mpi() && ::isatty(STDOUT_FILENO);  // under mpirun standard output always looks like a terminal
}

std::string place_of(const Gpu* gpu) {
  if (!gpu) return "the CPU";
  return cat("GPU ", gpu->index(), " (", gpu->name(), ", ", gpu->n_sm(), " multiprocessors, ", mebibytes(gpu->total_bytes()), ")");
}

// "8 ranks (4 on this host, nccl 2.28.9), 2 nodes".
std::string ranks_text(Comm& comm, const Machine& machine) {
  std::string backend = comm.backend();
  if (backend == "nccl") backend += " " + nccl_version();
  return cat(comm.size(), comm.size() == 1 ? " rank (" : " ranks (", local_size(comm), " on this host, ", backend, ")",
             machine.n_nodes > 1 ? cat(", ", machine.n_nodes, " nodes") : "");
}

void print_banner(const RunConfig& config, Comm& comm, const Machine& machine) {
  const int threads = machine.threads;
  log_info(cat("rookery ", ROOKERY_VERSION, " on ", host_name(), ": ", ranks_text(comm, machine), ", ", threads,
               threads == 1 ? " thread" : " threads", " each, ", config.precision, " on ", place_of(machine.gpu)));
  log_info(cat("stop and save with: rookery stop ", config.proj_dir, "   or: kill -USR1 ", ::getpid(), under_mpi() ? "" : "   or: Ctrl+C",
               "   (kill -USR2: save and go on)"));
  for (const std::string& note : config.notes) log_info(note);
  log_info("configuration:\n" + config.text);
}

int train_as_rank(const std::vector<std::string>& words) {
  RunRank rank([&] { return parse_config(words); });
  const RunConfig& config = rank.config;
  Comm& comm = *rank.comm;
  const bool leads = comm.rank() == 0;
  StopFlags flags;
  const StopSignals signals(flags, !under_mpi());
  std::optional<RunRecordFile> record;
  agree(comm, [&] {
    if (leads) record.emplace(config.proj_dir);
  });
  if (leads) print_banner(config, comm, rank.machine);
  Terminal terminal({.speaks = leads, .bar = wants_bar(config), .log_every = config.log_every, .world = comm.size()});
  return static_cast<int>(train(config, comm, rank.machine, terminal, flags));
}

// Without mpirun: as `rookery launch` does, if the environment says where the nodes meet.
int train_on_nodes(const RunConfig& config, const std::vector<std::string>& words, const Environment& environment) {
  if (environment("MASTER_ADDR").empty())
    fail(cat("--num_nodes ", config.num_nodes, " needs a start by `rookery launch` on every node, or by mpirun or srun"));
  std::vector<std::string> line{"--nnodes", cat(config.num_nodes), "--nproc_per_node", cat(std::max<int64_t>(config.devices, 1)), "--",
                                "train"};
  line.insert(line.end(), words.begin(), words.end());
  return launch(parse_launch(line, environment));
}

}  // namespace

int train_main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (const HelpRequest help = help_request(words); help != HelpRequest::none) {
    std::fputs(help_text(help).c_str(), stdout);
    return 0;
  }
  const Environment environment = process_environment();
  if (const SrunStart srun = srun_start(environment); srun.lacks_pmix) {
    if (!srun.speaks) {
      ::sleep(1);  // --kill-on-bad-exit ends all tasks with the first: that must not be before one has spoken
      return static_cast<int>(ExitCode::bad_input);
    }
    fail(cat("srun started ", srun.n_tasks,
             " processes that cannot form one run; start them with: srun --mpi=pmix --kill-on-bad-exit=1 ..."));
  }
  if (under_mpi()) return train_as_rank(words);
  const RunConfig config = parse_config(words);
  if (config.num_nodes > 1) return train_on_nodes(config, words, environment);
  if (config.devices <= 1 && config.max_restarts == 0) return train_as_rank(words);
  return launch_here(std::max<int64_t>(config.devices, 1), "train", words);
}

}  // namespace rk
