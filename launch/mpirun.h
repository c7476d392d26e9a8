// The command lines of mpirun, and what its end means.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace rk {

struct MpirunPlan {
  std::vector<std::string> words;  // after `rookery`
  std::string program;             // path of rookery
  int nproc_per_node = 1;
  bool crowded = false;  // a node has more ranks than cores
  // Empty: all ranks here. Else the other nodes, as agents and launchers name them.
  std::vector<std::string> other_nodes;
  std::string agent;      // started in place of ssh
  std::string networks;   // "10.0.1.0/24", or several behind commas, for MPI
  std::string folder;     // working directory
  bool one_host = false;  // two nodes have the same host name: Open MPI would mix up their shared memory

  int n_ranks() const { return nproc_per_node * (1 + static_cast<int>(other_nodes.size())); }
};
std::vector<std::string> mpirun_command(const MpirunPlan& plan);

std::string node_name(int node_rank);  // "node-1": how mpirun knows it; no real host name is needed but the first

// Prefixes of environment variables that would tell mpirun that it runs inside of something else, or give secrets away.
const std::vector<std::string>& unwanted_variables();

// Whether the run was given up by something that a new start may overcome.
bool worth_a_restart(int exit_code);
// The words with the number of nodes that there are, whatever they say. A step keeps its samples: those of the checkpoint from which the
// run goes on, or, where there is none, global_bsz (0: what the words say).
std::vector<std::string> words_on_nodes(const std::vector<std::string>& words, int nproc_per_node, int n_nodes, int64_t global_bsz);
// The words of a start that continues the run.
std::vector<std::string> words_of_restart(const std::vector<std::string>& words);
// What a code of mpirun that is none of ours means; empty for ours, which the ranks have explained.
std::string explanation(int exit_code);
int exit_code_for_user(int exit_code);  // ours stay as they are; others become 1

std::string own_path();  // of this program
int n_cores();           // that this process may use

}  // namespace rk
