// The process above mpirun, on node 0 or on the only node.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "launch/rendezvous/meeting.h"

namespace rk {

struct Job {
  std::vector<std::string> words;  // after `rookery`
  int nproc_per_node = 1;
  int nnodes = 1, min_nnodes = 1;  // when it begins; fewest to go on with
  int max_restarts = 0;
  std::string proj_dir;      // of `train`; empty: of nothing that trains
  double start_limit_s = 0;  // from the start of mpirun until all ranks have met; 0: any time
  int64_t global_bsz = 0;    // samples of a step as it begins
  std::string interface;     // of node 0, for NCCL; empty: its own choice
  std::string network;       // of node 0
  std::string folder;        // working directory, where there are several nodes
};

// The job's words for so many nodes; with fewer than at first a step keeps its samples.
std::vector<std::string> words_for(const Job& job, int n_nodes);

// Runs the job, again where ranks or nodes were lost and restarts are left, and returns the exit code for the user on every node.
// The first INT, TERM or HUP, here or on another node, becomes USR1 for all ranks (save and leave), the second a notice, the third ends
// everything and returns 130. USR1, USR2 and Ctrl+Z are passed on. A node that says nothing for a while is lost, whatever mpirun thinks.
int lead(const Job& job, std::vector<Node> nodes);

}  // namespace rk
