// What mpirun starts in place of ssh, and the desk in the leader that it reports to.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "launch/rendezvous/frames.h"
#include "launch/rendezvous/message.h"

namespace rk {

// A private folder with a Unix socket and a link to this program, whose names hold no blanks: Open MPI splits the agent's words there.
class AgentDesk {
 public:
  explicit AgentDesk(const std::string& program);
  AgentDesk(const AgentDesk&) = delete;
  AgentDesk& operator=(const AgentDesk&) = delete;
  ~AgentDesk();

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
  std::string folder_;
  FileDescriptor listener_;
  std::vector<Agent> agents_;
};

// rookery launch-agent SOCKET NODE WORDS...: has the words, which are quoted for a shell, run on the node. Returns their exit code.
int run_agent(const std::string& socket, const std::string& node, const std::string& command);

}  // namespace rk
