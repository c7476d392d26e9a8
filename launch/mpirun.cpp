#include "launch/mpirun.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "base/error.h"
#include "comm/places.h"
#include "launch/rendezvous/launch_options.h"

namespace rk {
namespace {

void add_option(std::vector<std::string>& command, const std::string& name, const std::string& value) {
  command.insert(command.end(), {"--mca", name, value});
}

bool is_ours(int code) {
  for (ExitCode known :
       {ExitCode::done, ExitCode::failure, ExitCode::bad_input, ExitCode::hang, ExitCode::interrupted, ExitCode::left_at_once})
    if (code == static_cast<int>(known)) return true;
  return false;
}

}  // namespace

std::string node_name(int node_rank) { return cat("node-", node_rank); }

std::vector<std::string> mpirun_command(const MpirunPlan& plan) {
  // --quiet: an exit code that all ranks agreed on is no news to explain. The keep-alive settings notice a host without power.
  std::vector<std::string> command = {"mpirun", "--quiet", "--bind-to", "none", "-n", cat(plan.n_ranks())};
  add_option(command, "oob_tcp_keepalive_time", "30");
  add_option(command, "oob_tcp_keepalive_intvl", "10");
  add_option(command, "oob_tcp_keepalive_probes", "3");
  if (plan.crowded) add_option(command, "mpi_yield_when_idle", "1");
  if (plan.other_nodes.empty()) {
    command.push_back("--oversubscribe");
  } else {
    std::string hosts = cat(host_name(), ":", plan.nproc_per_node);
    for (const std::string& node : plan.other_nodes) hosts += cat(",", node, ":", plan.nproc_per_node);
    command.insert(command.end(), {"--host", hosts, "--wdir", plan.folder});
    add_option(command, "plm", "rsh");
    add_option(command, "plm_rsh_agent", plan.agent);
    add_option(command, "plm_rsh_no_tree_spawn", "1");        // daemons have no agent
    add_option(command, "orte_leave_session_attached", "1");  // a launcher lives as long as its daemon
    add_option(command, "oob_tcp_if_include", plan.networks);
    add_option(command, "btl_tcp_if_include", plan.networks);
    if (plan.one_host) add_option(command, "btl", "tcp,self");
  }
  command.push_back(plan.program);
  command.insert(command.end(), plan.words.begin(), plan.words.end());
  return command;
}

const std::vector<std::string>& unwanted_variables() {
  static const std::vector<std::string> prefixes{"ROOKERY_SECRET_FILE", "SLURM_", "PMIX_", "PMI_", "OMPI_COMM_WORLD_",
                                                 "OMPI_UNIVERSE_SIZE"};
  return prefixes;
}

bool worth_a_restart(int code) {
  for (ExitCode final : {ExitCode::done, ExitCode::bad_input, ExitCode::interrupted, ExitCode::left_at_once})
    if (code == static_cast<int>(final)) return false;
  return true;
}

std::vector<std::string> words_on_nodes(const std::vector<std::string>& words, int nproc_per_node, int n_nodes, int64_t global_bsz) {
  std::vector<std::string> next = without_options(words, {"devices", "num_nodes", "accumulate_grad_batches", "accumulate"});
  next.insert(next.end(), {"--devices", cat(nproc_per_node), "--num_nodes", cat(n_nodes)});
  if (global_bsz == 0) return next;
  next = without_options(next, {"global_bsz"});
  next.insert(next.end(), {"--global_bsz", cat(global_bsz)});
  return next;
}

std::vector<std::string> words_of_restart(const std::vector<std::string>& words) {
  std::vector<std::string> next = without_options(words, {"resume", "resume_from_checkpoint"});
  next.insert(next.end(), {"--resume", "auto"});
  return next;
}

std::string explanation(int code) {
  if (is_ours(code)) return {};
  if (code > 128 && code < 128 + NSIG) return cat("a rank or mpirun died by signal ", code - 128, " (", ::strsignal(code - 128), ")");
  return cat("mpirun ended with exit code ", code);
}

int exit_code_for_user(int code) { return is_ours(code) ? code : static_cast<int>(ExitCode::failure); }

std::string own_path() {
  char path[4096];
  const ssize_t n = ::readlink("/proc/self/exe", path, sizeof path);
  if (n <= 0 || n == sizeof path) fail("cannot find the path of this program in /proc/self/exe", ExitCode::failure);
  return {path, static_cast<size_t>(n)};
}

int n_cores() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
}

}  // namespace rk
