#include "launch/rendezvous/agent.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/error.h"

namespace rk {
namespace {

constexpr size_t most_command_bytes = size_t{8} << 20;
constexpr int unreachable = 255;  // as of ssh

sockaddr_un unix_address(const std::string& path) {
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  require(path.size() < sizeof a.sun_path, "the private folder has a short name");
  std::copy(path.begin(), path.end(), a.sun_path);
  return a;
}

std::string make_private_folder() {
  const char* base = std::getenv("TMPDIR");
  std::string pattern = base ? base : "/tmp";
  constexpr size_t longest = 60;  // a Unix socket's path has at most 107 bytes
  if (pattern.empty() || pattern.size() > longest || pattern.find_first_of(" \t'\"") != std::string::npos) pattern = "/tmp";
  pattern += "/rookery-launch-XXXXXX";
  if (!::mkdtemp(pattern.data())) fail(cat("cannot make a folder like ", pattern, ": ", std::strerror(errno)), ExitCode::failure);
  return pattern;
}

bool is_own(int fd) {
  ucred peer{};
  socklen_t n = sizeof peer;
  return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && peer.uid == ::geteuid();
}

}  // namespace

AgentDesk::AgentDesk(const std::string& program)
    : folder_(make_private_folder()), listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  const sockaddr_un a = unix_address(folder_ + "/socket");
  if (::symlink(program.c_str(), (folder_ + "/rookery").c_str()) != 0 ||
      ::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0 || ::listen(listener_.get(), 128) != 0)
    fail(cat("cannot prepare ", folder_, ": ", std::strerror(errno)), ExitCode::failure);
}

AgentDesk::~AgentDesk() {
  ::unlink((folder_ + "/socket").c_str());
  ::unlink((folder_ + "/rookery").c_str());
  ::rmdir(folder_.c_str());
}

std::string AgentDesk::agent() const { return cat(folder_, "/rookery launch-agent ", folder_, "/socket"); }

std::vector<int> AgentDesk::fds() const {
  std::vector<int> all{listener_.get()};
  for (const Agent& agent : agents_) all.push_back(agent.frames.fd());
  return all;
}

void AgentDesk::attend(const std::function<bool(const std::string&, const std::string&)>& start) {
  for (;;) {
    FileDescriptor socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket) break;
    if (is_own(socket.get())) agents_.push_back({Frames(std::move(socket), most_command_bytes), {}});
  }
  for (Agent& agent : agents_) {
    agent.frames.receive();
    agent.frames.flush();
    while (const std::optional<std::string> frame = agent.frames.next()) {
      const std::optional<Message> message = decode(*frame);
      if (!message || message->kind != Message::Kind::start || !agent.node.empty()) continue;
      agent.node = message->word(0);
      if (!start(agent.node, message->word(1))) ended(agent.node, unreachable);
    }
  }
  std::erase_if(agents_, [](const Agent& agent) { return !agent.frames.fault().empty(); });
}

void AgentDesk::ended(const std::string& node, int exit_code) {
  for (Agent& agent : agents_)
    if (agent.node == node) agent.frames.send(encode({Message::Kind::ended, {cat(exit_code)}}));
}

void AgentDesk::forget_all() { agents_.clear(); }

int run_agent(const std::string& socket, const std::string& node, const std::string& command) {
  FileDescriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un a = unix_address(socket);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0)
    fail(cat("the launcher cannot be reached at ", socket, ": ", std::strerror(errno)), ExitCode::failure);
  Frames frames(std::move(fd), most_command_bytes);
  frames.send(encode({Message::Kind::start, {node, command}}));
  for (;;) {
    if (const std::optional<std::string> frame = frames.next())
      if (const std::optional<Message> message = decode(*frame); message && message->kind == Message::Kind::ended)
        return message->number(0);
    if (!frames.fault().empty()) return unreachable;
    pollfd waiting{frames.fd(), static_cast<short>(frames.has_output() ? POLLIN | POLLOUT : POLLIN), 0};
    ::poll(&waiting, 1, -1);
    frames.flush();
    frames.receive();
  }
}

}  // namespace rk
