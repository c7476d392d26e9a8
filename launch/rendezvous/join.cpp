// The meeting as seen by all nodes but the first.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>

#include "base/error.h"
#include "base/log.h"
#include "launch/rendezvous/interfaces.h"
#include "launch/rendezvous/meeting.h"

namespace rk {
namespace {

constexpr std::chrono::milliseconds between_tries{100};
constexpr int try_ms = 5000;
constexpr std::chrono::seconds answer_time{15};

// A connected socket, or none and the reason.
FileDescriptor connect_once(const std::string& host, int port, std::string& why) {
  const std::string address = resolve(host);
  if (address.empty()) {
    why = "the name is unknown";
    return {};
  }
  FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const sockaddr_in a = socket_address(address, port);
  int error = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    pollfd fd{socket.get(), POLLOUT, 0};
    error = ETIMEDOUT;
    socklen_t n = sizeof error;
    if (::poll(&fd, 1, try_ms) > 0) ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &n);
  }
  if (error == 0) return socket;
  why = std::strerror(error);
  return {};
}

FileDescriptor connect_to_leader(const LaunchOptions& o, Clock::time_point deadline) {
  std::string why;
  for (bool told = false;; told = true) {
    FileDescriptor socket = connect_once(o.master_addr, o.master_port, why);
    if (socket) return socket;
    if (Clock::now() >= deadline)
      fail(cat("node 0 cannot be reached at ", o.master_addr, ", port ", o.master_port, ", for ", o.timeout_s, " s: ", why),
           ExitCode::failure);
    if (!told) log_info(cat("waiting for node 0 at ", o.master_addr, ", port ", o.master_port, " (", why, ")"));
    std::this_thread::sleep_for(between_tries);
  }
}

// The next message, or nothing where the link is of no use or the time is over.
std::optional<Message> wait_for_message(Link& link, Clock::time_point until) {
  for (;;) {
    if (std::optional<Message> message = link.next()) return message;
    if (!link.fault().empty() || Clock::now() >= until) return {};
    link.keep_alive(Clock::now());
    pollfd fd{link.fd(), static_cast<short>(link.has_output() ? POLLIN | POLLOUT : POLLIN), 0};
    ::poll(&fd, 1, 200);
    link.flush();
    link.receive();
  }
}

bool is_on_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  std::string folders = path ? path : "/usr/bin:/bin";
  for (size_t begin = 0; begin <= folders.size();) {
    const size_t end = std::min(folders.find(':', begin), folders.size());
    if (::access((folders.substr(begin, end - begin) + "/" + program).c_str(), X_OK) == 0) return true;
    begin = end + 1;
  }
  return false;
}

// Why this node cannot take part; empty where it can.
std::string objection(const Place& place) {
  std::error_code error;
  if (::access(place.program.c_str(), X_OK) != 0)
    return cat("there is no program ", place.program, " as on node 0; install rookery at the same path, or on a file system that all see");
  if (!std::filesystem::is_directory(place.folder, error))
    return cat("there is no folder ", place.folder, ", in which node 0 was started; start it in one that all nodes have");
  if (!is_on_path("orted")) return "Open MPI's orted is not on PATH";
  return {};
}

[[noreturn]] void refuse_place(Link& link, const std::string& why) {
  link.send({Message::Kind::refused, {why}});
  link.finish();
  wait_for_message(link, Clock::now() + std::chrono::seconds(2));  // until node 0 has read it
  fail(why);
}

}  // namespace

Link join(Meeting& meeting, std::string& interface) {
  const LaunchOptions& o = meeting.options;
  const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(o.timeout_s));
  FileDescriptor socket = connect_to_leader(o, deadline);
  if (interface.empty() || meeting.self.network.empty()) {
    const Interface local = interface_with_address(interfaces(), local_address(socket.get()));
    interface = local.name;
    meeting.self.network = local.network;
  }
  const std::string leader = cat("node 0 at ", o.master_addr, ", port ", o.master_port, ": ");
  Link link(std::move(socket), Link::Role::follower, meeting.secret);
  const auto until = Clock::now() + answer_time;
  while (!link.established() && link.fault().empty() && Clock::now() < until) {
    pollfd fd{link.fd(), POLLIN, 0};
    ::poll(&fd, 1, 200);
    link.receive();
    link.next();
  }
  if (!link.established()) {
    const std::string why = link.fault().empty() ? "it does not answer" : link.fault();
    fail(cat(leader, why, why.find("secret") == std::string::npos ? "" : cat("; is ", o.secret_file, " the same on both?")));
  }
  link.send(meeting.self.message());
  const std::optional<Message> answer = wait_for_message(link, until);
  if (!answer) fail(cat(leader, link.fault().empty() ? "it does not answer" : link.fault()), ExitCode::failure);
  if (answer->kind != Message::Kind::welcome) fail(cat(leader, "this node was refused: ", answer->word(0)));
  if (const std::string why = objection({answer->word(0), answer->word(1)}); !why.empty()) refuse_place(link, why);
  link.send({Message::Kind::ready, {}});
  log_info(cat("node ", o.node_rank, " has joined node 0 at ", o.master_addr, "; Ctrl+C saves and stops the whole run"));
  return link;
}

}  // namespace rk
