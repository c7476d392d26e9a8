// What mpirun starts in place of ssh, and the desk in the leader that it reports to.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "launch/rendezvous/frames.h"
#include "launch/rendezvous/message.h"

namespace rk {

// A Unix socket with a name of its own and no file, which vanishes with this process.
class AgentDesk {
 public:
  AgentDesk();

  std::string agent() const;  // for plm_rsh_agent
  std::vector<int> fds() const;
  // Takes what agents say; start(node, command) for each node that mpirun wants to reach. False from it: there is no such node.
  void attend(const std::function<bool(const std::string& node, const std::string& command)>& start);
  // Lets the agent of the node end like the command did.
  void ended(const std::string& node, int exit_code);
  void forget_all();

 private:
  struct Agent {
    Frames frames;
    std::string node;
  };
  std::string name_;
  FileDescriptor listener_;
  std::vector<Agent> agents_;
};

// rookery launch-agent SOCKET NODE WORDS...: has the words, which are quoted for a shell, run on the node. Returns their exit code.
int run_agent(const std::string& socket, const std::string& node, const std::string& command);

}  // namespace rk
