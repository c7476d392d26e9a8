// The launcher of a node other than the first.
#pragma once
#include <string>

#include "launch/rendezvous/link.h"

namespace rk {

// Starts what node 0 asks for, sends its output there, and returns the exit code of the run, which node 0 tells. When node 0 goes away or
// falls silent, what was started is ended within seconds, and the result is 1. INT, TERM and HUP are passed to node 0 as a request to save
// and stop; the third leaves at once, on all nodes. interface: for NCCL on this node; empty: its own choice.
int follow(Link link, const std::string& interface);

}  // namespace rk
