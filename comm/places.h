// Where the ranks of a run stand: which hosts, which GPUs.
#pragma once
#include <string>
#include <vector>

#include "comm/comm.h"

namespace rk {

std::string host_name();

// This rank's node among the nodes of all ranks. Nodes are numbered in the order of their lowest ranks.
struct NodePlace {
  int index = 0, n_nodes = 1;
  int fewest = 1, most = 1;  // ranks of one node
};
// Ranks with one host name are one node; the environment variable NCCL_HOSTID, which NCCL also obeys, replaces the name. Collective.
NodePlace place_of_node(Comm& comm);
NodePlace place_among(const std::vector<std::string>& node_of_rank, int rank);  // the same from the names

// Index of the GPU that a rank takes, among those that its process sees: its place among the ranks of the host, or the only one (a launcher
// may show each rank a GPU of its own). fail()s when the host has fewer GPUs than ranks.
int choose_gpu(int local_rank, int local_size, int n_gpus);

// fail()s on all ranks alike when two of them have one GPU; uuid as Gpu::uuid() gives it. Collective.
void check_gpus_differ(Comm& comm, const std::string& uuid);

}  // namespace rk
