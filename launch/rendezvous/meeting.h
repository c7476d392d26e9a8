// How the launchers of one run find each other.
#pragma once
#include <string>
#include <vector>

#include "launch/rendezvous/launch_options.h"
#include "launch/rendezvous/link.h"

namespace rk {

// What must be the same on all nodes, and what differs.
struct Introduction {
  int node_rank = 0, nnodes = 1, nproc_per_node = 1, n_cores = 1;
  std::string version, mpi_version;  // "0.1.0", "Open MPI 4.1.4"
  std::string host;
  std::string network;  // of the interface that the run uses there, "10.0.1.0/24"

  Message message() const;
  static Introduction from(const Message& join);
};

// What a follower must have before it is counted.
struct Place {
  std::string program;  // path of rookery
  std::string folder;   // working directory
};

// A node that waits for the start, as node 0 sees it.
struct Node {
  Introduction who;
  std::string address;
  Link link;
  std::string text() const;  // "node 1 (n1, 10.0.1.8)"
};

struct Meeting {
  LaunchOptions options;
  std::string secret;
  Introduction self;  // network: empty where it is to follow from the connection
  Place place;        // of the leader
};

// Node 0: listens on --master_port until all others are there, and not longer. Strangers, wrong secrets and nodes that do not fit are
// refused with one line each; they delay nobody. Fills self.network. fail()s at the timeout with fewer than min_nnodes.
std::vector<Node> gather(Meeting& meeting);

// The others: connects, retrying until the timeout, and waits to be counted. Fills self.network and `interface`.
// fail()s where node 0 refuses this node, or this node cannot take part.
Link join(Meeting& meeting, std::string& interface);

}  // namespace rk
