// rookery launch
#include "launch/launch.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/error.h"
#include "base/log.h"
#include "comm/mpi_version.h"
#include "comm/places.h"
#include "launch/mpirun.h"
#include "launch/print_sbatch.h"
#include "launch/rendezvous/agent.h"
#include "launch/rendezvous/follow.h"
#include "launch/rendezvous/interfaces.h"
#include "launch/rendezvous/lead.h"
#include "launch/rendezvous/secret.h"
#include "launch/subcommands.h"
#include "train/config.h"

namespace rk {
namespace {

// What node 0 knows before anything listens or starts: words that ranks would refuse are refused here.
void check_program(const LaunchOptions& o, Job& job) {
  if (o.program.front() != "train") {
    if (o.max_restarts > 0) fail(cat("--max_restarts is for `train`, not for `", o.program.front(), "`"));
    return;
  }
  std::vector<std::string> words(o.program.begin() + 1, o.program.end());
  RunConfig config = parse_config(words);
  if (config.devices > 0 && config.devices != o.nproc_per_node)
    fail(cat("--devices ", config.devices, " of the run contradicts --nproc_per_node ", o.nproc_per_node,
             "; give the same number, or one of them"));
  if (config.num_nodes > 0 && config.num_nodes != o.nnodes)
    fail(cat("--num_nodes ", config.num_nodes, " of the run contradicts --nnodes ", o.nnodes, "; give the same number, or one of them"));
  if (config.devices > 0 && config.num_nodes == 0 && o.nnodes > 1) {  // ranks would take it for one node
    words.insert(words.end(), {"--num_nodes", cat(o.nnodes)});
    config = parse_config(words);
  }
  validate(config, o.nnodes * o.nproc_per_node);
  check_files(config);
  job.proj_dir = config.proj_dir;
  job.start_limit_s = std::max(20.0, config.comm_timeout_s);
  job.global_bsz = config.micro_auto ? 0 : config.global_bsz;
  const bool can_resume = config.train_stage != 1;
  job.max_restarts = can_resume ? o.max_restarts >= 0 ? o.max_restarts : static_cast<int>(config.max_restarts) : 0;
  job.words = {"train"};
  if (config.progress == "auto") job.words.push_back(::isatty(STDOUT_FILENO) ? "--progress=bar" : "--progress=plain");
  job.words.insert(job.words.end(), words.begin(), words.end());
  if (config.max_restarts > 0) job.words.insert(job.words.end(), {"--max_restarts", "0"});  // the ranks' part is done here
}

Meeting meeting_of(const LaunchOptions& o) {
  Meeting meeting;
  meeting.options = o;
  meeting.secret = read_secret(o.secret_file);
  meeting.self = {.node_rank = o.node_rank,
                  .nnodes = o.nnodes,
                  .nproc_per_node = o.nproc_per_node,
                  .n_cores = n_cores(),
                  .version = ROOKERY_VERSION,
                  .mpi_version = mpi_version(),
                  .host = host_name()};
  if (!o.interface.empty()) meeting.self.network = interface_named(interfaces(), o.interface).network;
  return meeting;
}

int launch_leader(const LaunchOptions& o) {
  Job job{.words = o.program, .nproc_per_node = o.nproc_per_node, .nnodes = o.nnodes, .min_nnodes = o.min_nnodes};
  check_program(o, job);
  if (o.nnodes == 1) return lead(job, {});
  Meeting meeting = meeting_of(o);
  meeting.place = {own_path(), std::filesystem::current_path()};
  std::vector<Node> nodes = gather(meeting);
  const int n_nodes = static_cast<int>(nodes.size()) + 1;
  if (n_nodes < o.nnodes && o.program.front() == "train") job.words = words_for(job, n_nodes);
  job.folder = meeting.place.folder;
  job.network = meeting.self.network;
  job.interface = o.interface;
  for (const Interface& i : interfaces())
    if (job.interface.empty() && i.network == job.network) job.interface = i.name;
  return lead(job, std::move(nodes));
}

int launch_follower(const LaunchOptions& o) {
  Meeting meeting = meeting_of(o);
  std::string interface = o.interface;
  Link link = join(meeting, interface);
  return follow(std::move(link), interface);
}

}  // namespace

int launch(const LaunchOptions& o) { return o.node_rank == 0 ? launch_leader(o) : launch_follower(o); }

int launch_here(int64_t ranks, const std::string& command, const std::vector<std::string>& words) {
  LaunchOptions options;
  options.nproc_per_node = static_cast<int>(ranks);
  options.program = {command};
  options.program.insert(options.program.end(), words.begin(), words.end());
  return launch(options);
}

Environment process_environment() {
  return [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value ? value : "");
  };
}

int launch_main(int argc, char** argv) {
  const LaunchOptions o = parse_launch({argv + 1, argv + argc}, process_environment());
  if (o.help) {
    std::fputs(launch_help().c_str(), stdout);
    return 0;
  }
  if (o.print_sbatch) {
    if (o.program.front() == "train") parse_config({o.program.begin() + 1, o.program.end()});
    std::fputs(sbatch_script(o, own_path()).c_str(), stdout);
    return 0;
  }
  return launch(o);
}

int agent_main(int argc, char** argv) {
  if (argc < 3) fail("rookery launch-agent is started by mpirun; people start rookery launch");
  std::string command;
  for (int i = 2; i < argc; ++i) command += cat(i > 2 ? " " : "", argv[i]);
  return run_agent(argv[0], argv[1], command);
}

}  // namespace rk
