#include "launch/rendezvous/agent.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "base/error.h"
#include "launch/rendezvous/crypto.h"

namespace rk {
namespace {

constexpr size_t most_command_bytes = size_t{8} << 20;
constexpr int unreachable = 255;  // as of ssh

struct UnixAddress {
  sockaddr_un address{};
  socklen_t n_bytes = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

// In the kernel's own table of names: a zero, and the name.
UnixAddress unix_address(const std::string& name) {
  UnixAddress a;
  a.address.sun_family = AF_UNIX;
  require(name.size() + 1 < sizeof a.address.sun_path, "names of desks are short");
  std::copy(name.begin(), name.end(), a.address.sun_path + 1);
  a.n_bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return a;
}

std::string new_name() {
  std::string name = "rookery-launch-";
  for (unsigned char c : random_bytes(16)) {
    name += "0123456789abcdef"[c >> 4];
    name += "0123456789abcdef"[c & 15];
  }
  return name;
}

bool is_own(int fd) {
  ucred peer{};
  socklen_t n = sizeof peer;
  return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && peer.uid == ::geteuid();
}

}  // namespace

AgentDesk::AgentDesk() : name_(new_name()), listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  const UnixAddress a = unix_address(name_);
  if (::bind(listener_.get(), a.get(), a.n_bytes) != 0 || ::listen(listener_.get(), 128) != 0)
    fail(cat("cannot listen on a Unix socket: ", std::strerror(errno)), ExitCode::failure);
}

// Open MPI splits the words at blanks, which the path of this program may hold; the kernel's link to it does not.
std::string AgentDesk::agent() const { return cat("/proc/", ::getpid(), "/exe launch-agent ", name_); }

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
  const UnixAddress a = unix_address(socket);
  if (::connect(fd.get(), a.get(), a.n_bytes) != 0 || !is_own(fd.get()))
    fail(cat("the launcher that started this has gone (", socket, ")"), ExitCode::failure);
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
