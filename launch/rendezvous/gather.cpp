// Node 0's side of the meeting.
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "base/log.h"
#include "launch/rendezvous/interfaces.h"
#include "launch/rendezvous/meeting.h"

namespace rk {
namespace {

constexpr std::chrono::seconds introduction_time{10};  // for a connection to say who it is
constexpr size_t most_strangers = 256;                 // connections that have not yet said who they are

// Node 0's own name is often 127.0.1.1 to itself: then the others' connections tell which interface they use.
std::string address_to_listen_on(const std::string& master_addr) {
  const std::string address = resolve(master_addr);
  if (address.empty()) fail(cat("--master_addr ", master_addr, " is unknown on this host; give the IPv4 address of node 0"));
  if (address.starts_with("127.") && address != master_addr) return {};
  return interface_with_address(interfaces(), address).name.empty() ? std::string() : address;
}

FileDescriptor listen_on(const std::string& address, int port) {
  FileDescriptor listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int yes = 1;
  ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const sockaddr_in a = socket_address(address, port);
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a) != 0 || ::listen(listener.get(), 128) != 0)
    fail(cat("node 0 cannot listen on ", address.empty() ? "" : address + ":", "port ", port, " (", std::strerror(errno),
             "); choose another --master_port on all nodes"));
  return listener;
}

struct Visitor {
  Node node;
  Clock::time_point deadline;
  bool introduced = false, ready = false, over = false;
};

class Gathering {
 public:
  Gathering(Meeting& meeting, FileDescriptor listener) : meeting_(meeting), listener_(std::move(listener)) {}
  std::vector<Node> run();

 private:
  int n_ready() const;
  void wait(Clock::time_point until);
  void welcome_strangers();
  void attend(Visitor& visitor);
  void hear(Visitor& visitor, const Message& message);
  std::string objection(const Introduction& who) const;
  void refuse(Visitor& visitor, const std::string& sentence);

  Meeting& meeting_;
  FileDescriptor listener_;
  std::vector<Visitor> visitors_;
};

int Gathering::n_ready() const {
  return static_cast<int>(std::count_if(visitors_.begin(), visitors_.end(), [](const Visitor& v) { return v.ready; }));
}

void Gathering::wait(Clock::time_point until) {
  std::vector<pollfd> fds{{listener_.get(), POLLIN, 0}};
  for (const Visitor& v : visitors_)
    fds.push_back({v.node.link.fd(), static_cast<short>(v.node.link.has_output() ? POLLIN | POLLOUT : POLLIN), 0});
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now()).count();
  ::poll(fds.data(), fds.size(), static_cast<int>(std::clamp<int64_t>(left, 0, 500)));
}

void Gathering::welcome_strangers() {
  for (;;) {
    FileDescriptor socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!socket) return;
    const auto stranger = [](const Visitor& v) { return !v.introduced; };
    if (static_cast<size_t>(std::count_if(visitors_.begin(), visitors_.end(), stranger)) >= most_strangers)
      visitors_.erase(std::find_if(visitors_.begin(), visitors_.end(), stranger));  // who has waited longest
    const std::string address = remote_address(socket.get());
    visitors_.push_back({{{}, address, Link(std::move(socket), Link::Role::leader, meeting_.secret)}, Clock::now() + introduction_time});
  }
}

std::string Gathering::objection(const Introduction& who) const {
  const Introduction& self = meeting_.self;
  if (who.version != self.version) return cat("it runs rookery ", who.version, ", node 0 ", self.version);
  if (who.mpi_version != self.mpi_version) return cat("it has ", who.mpi_version, ", node 0 ", self.mpi_version);
  if (who.nnodes != self.nnodes) return cat("it was started with --nnodes ", who.nnodes, ", node 0 with ", self.nnodes);
  if (who.nproc_per_node != self.nproc_per_node)
    return cat("it was started with --nproc_per_node ", who.nproc_per_node, ", node 0 with ", self.nproc_per_node);
  if (who.node_rank < 1 || who.node_rank >= self.nnodes)
    return cat("--node_rank ", who.node_rank, " does not exist among ", self.nnodes, " nodes");
  const auto clash = [&](const Introduction& there) { return there.host == who.host && self.nproc_per_node > 1; };
  std::string clashing = clash(self) ? "node 0" : "";
  for (const Visitor& v : visitors_)
    if (v.introduced && !v.over && clash(v.node.who)) clashing = cat("node ", v.node.who.node_rank);
  if (!clashing.empty())
    return cat("its host name ", who.host, " is that of ", clashing,
               ", and Open MPI would mix up their ranks; give it another name, or start all ranks of a host with one launcher");
  for (const Visitor& v : visitors_)
    if (v.introduced && !v.over && v.node.who.node_rank == who.node_rank)
      return cat("--node_rank ", who.node_rank, " is already taken by ", v.node.who.host, " (", v.node.address, ")");
  return {};
}

void Gathering::refuse(Visitor& visitor, const std::string& sentence) {
  visitor.node.link.send({Message::Kind::refused, {sentence}});
  visitor.node.link.finish();
  log_warning(cat("refused ", visitor.node.who.host, " (", visitor.node.address, "): ", sentence));
  visitor.over = true;
}

void Gathering::hear(Visitor& visitor, const Message& message) {
  if (message.kind == Message::Kind::join && !visitor.introduced) {
    visitor.node.who = Introduction::from(message);
    if (const std::string why = objection(visitor.node.who); !why.empty()) return refuse(visitor, why);
    visitor.introduced = true;
    visitor.node.link.send({Message::Kind::welcome, {meeting_.place.program, meeting_.place.folder}});
  } else if (message.kind == Message::Kind::ready && visitor.introduced) {
    visitor.ready = true;
    if (meeting_.self.network.empty())
      meeting_.self.network = interface_with_address(interfaces(), local_address(visitor.node.link.fd())).network;
    log_info(cat(visitor.node.text(), " is here"));
  } else if (message.kind == Message::Kind::refused) {
    log_warning(cat(visitor.node.text(), " cannot take part: ", message.word(0)));
    visitor.over = true;
  }
}

void Gathering::attend(Visitor& visitor) {
  Link& link = visitor.node.link;
  link.receive();
  link.flush();
  link.keep_alive(Clock::now());
  while (!visitor.over) {
    const std::optional<Message> message = link.next();
    if (!message) break;
    hear(visitor, *message);
  }
  if (visitor.over) return;
  const bool late = !visitor.introduced && Clock::now() >= visitor.deadline;
  if (link.fault().empty() && !late) return;
  visitor.over = true;
  if (visitor.introduced)
    log_warning(cat(visitor.node.text(), " has gone: ", link.fault()));
  else
    log_warning(cat("refused a connection from ", visitor.node.address, ": ", late ? "it did not say who it is in time" : link.fault()));
}

std::vector<Node> Gathering::run() {
  const auto deadline =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(meeting_.options.timeout_s));
  const int wanted = meeting_.options.nnodes - 1;
  while (n_ready() < wanted && Clock::now() < deadline) {
    wait(deadline);
    welcome_strangers();
    for (Visitor& visitor : visitors_) attend(visitor);
    std::erase_if(visitors_, [](const Visitor& v) { return v.over; });
  }
  std::vector<Node> nodes;
  std::string missing;
  for (int rank = 1; rank <= wanted; ++rank) {
    const auto is_it = [rank](const Visitor& v) { return v.ready && v.node.who.node_rank == rank; };
    const auto i = std::find_if(visitors_.begin(), visitors_.end(), is_it);
    if (i != visitors_.end())
      nodes.push_back(std::move(i->node));
    else
      missing += cat(missing.empty() ? "" : ", ", rank);
  }
  if (missing.empty()) return nodes;
  const std::string who = cat("nodes that are not here after ", meeting_.options.timeout_s, " s: ", missing);
  if (static_cast<int>(nodes.size()) + 1 < meeting_.options.min_nnodes)
    fail(cat(who, "; start `rookery launch` there, too, or give a longer --timeout"), ExitCode::failure);
  log_warning(cat(who, "; the run begins without them"));
  return nodes;
}

}  // namespace

std::vector<Node> gather(Meeting& meeting) {
  const LaunchOptions& o = meeting.options;
  const std::string address = address_to_listen_on(o.master_addr);
  FileDescriptor listener = listen_on(address, o.master_port);
  log_info(cat("node 0 waits for ", o.nnodes - 1, o.nnodes == 2 ? " other node on " : " other nodes on ",
               address.empty() ? "all interfaces" : address, ", port ", o.master_port));
  return Gathering(meeting, std::move(listener)).run();
}

}  // namespace rk
