// rookery train
#include <unistd.h>

#include <optional>

#include "base/log.h"
#include "comm/agree.h"
#include "comm/backends.h"
#include "comm/places.h"
#include "launch/mpirun.h"
#include "launch/run_rank.h"
#include "launch/run_record.h"
#include "launch/signals.h"
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

}  // namespace

int train_main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (const HelpRequest help = help_request(words); help != HelpRequest::none) {
    std::fputs(help_text(help).c_str(), stdout);
    return 0;
  }
  if (under_mpi()) return train_as_rank(words);
  RunConfig config = parse_config(words);
  if (config.devices <= 1 || config.num_nodes > 1) return train_as_rank(words);
  validate(config, static_cast<int>(config.devices));
  check_files(config);
  std::vector<std::string> command = {"train"};
  if (config.progress == "auto") command.push_back(::isatty(STDOUT_FILENO) ? "--progress=bar" : "--progress=plain");
  command.insert(command.end(), words.begin(), words.end());
  return run_under_mpirun(static_cast<int>(config.devices), command);
}

}  // namespace rk
