// From options to a run, on this node or on several.
#pragma once
#include "launch/rendezvous/launch_options.h"

namespace rk {

// Meets the other nodes, if there are any, starts the run or waits for node 0 to do so, and returns its exit code.
int launch(const LaunchOptions& options);
// `rookery COMMAND WORDS...` as `ranks` ranks on this host.
int launch_here(int64_t ranks, const std::string& command, const std::vector<std::string>& words);

Environment process_environment();

// How mpirun calls this program in place of ssh: rookery launch-agent SOCKET NODE WORDS...
inline constexpr char agent_command[] = "launch-agent";
int agent_main(int argc, char** argv);  // argv: SOCKET NODE WORDS...

}  // namespace rk
