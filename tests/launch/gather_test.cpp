// Whom node 0 counts, and whom it refuses without delaying the others.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "base/error.h"
#include "launch/rendezvous/interfaces.h"
#include "launch/rendezvous/meeting.h"

namespace rk {
namespace {

constexpr char secret[] = "a secret of 26 characters.";

int free_port() {
  const FileDescriptor probe(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in a = socket_address("127.0.0.1", 0);
  socklen_t n = sizeof a;
  EXPECT_EQ(::bind(probe.get(), reinterpret_cast<const sockaddr*>(&a), n), 0);
  EXPECT_EQ(::getsockname(probe.get(), reinterpret_cast<sockaddr*>(&a), &n), 0);
  return ntohs(a.sin_port);
}

Introduction node(int rank) {
  return {.node_rank = rank,
          .nnodes = 3,
          .nproc_per_node = 2,
          .n_cores = 4,
          .version = "1.0",
          .mpi_version = "Open MPI 4.1.4",
          .host = "host" + std::to_string(rank),
          .network = "127.0.0.0/8"};
}

class Gather : public testing::Test {
 protected:
  void begin(double timeout_s, int min_nnodes) {
    port_ = free_port();
    meeting_.options.nnodes = 3;
    meeting_.options.min_nnodes = min_nnodes;
    meeting_.options.master_addr = "127.0.0.1";
    meeting_.options.master_port = port_;
    meeting_.options.timeout_s = timeout_s;
    meeting_.secret = secret;
    meeting_.self = node(0);
    meeting_.self.network.clear();
    meeting_.place = {"/opt/rookery", "/work"};
    nodes_ = std::async(std::launch::async, [this] { return gather(meeting_); });
  }

  FileDescriptor connect() const {
    const sockaddr_in a = socket_address("127.0.0.1", port_);
    for (int tries = 0; tries < 100; ++tries) {
      FileDescriptor socket(::socket(AF_INET, SOCK_STREAM, 0));
      if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0) return socket;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return {};
  }

  static std::optional<Message> answer(Link& link) {
    for (int tries = 0; tries < 100; ++tries) {
      link.receive();
      if (std::optional<Message> m = link.next()) return m;
      if (!link.fault().empty()) return {};
      pollfd fd{link.fd(), POLLIN, 0};
      ::poll(&fd, 1, 50);
    }
    return {};
  }

  // What node 0 says to it: a sentence, or "welcome".
  std::string introduce(const Introduction& who, std::optional<Link>* kept = nullptr) {
    Link link(connect(), Link::Role::follower, secret);
    for (int tries = 0; tries < 100 && !link.established(); ++tries) {
      pollfd fd{link.fd(), POLLIN, 0};
      ::poll(&fd, 1, 50);
      link.receive();
      link.next();
    }
    EXPECT_TRUE(link.established()) << link.fault();
    link.send(who.message());
    const std::optional<Message> m = answer(link);
    if (!m) return "nothing";
    if (m->kind != Message::Kind::welcome) return m->word(0);
    EXPECT_EQ(m->word(0), "/opt/rookery");
    link.send({Message::Kind::ready, {}});
    if (kept) kept->emplace(std::move(link));
    return "welcome";
  }

  int port_ = 0;
  Meeting meeting_;
  std::future<std::vector<Node>> nodes_;
};

TEST_F(Gather, CountsNodesAndRefusesOthers) {
  begin(30, 3);
  const FileDescriptor silent = connect();
  std::optional<Link> one, two;
  EXPECT_EQ(introduce(node(1), &one), "welcome");
  Introduction other = node(2);
  other.version = "1.1";
  EXPECT_EQ(introduce(other), "it runs rookery 1.1, node 0 1.0");
  other = node(2);
  other.mpi_version = "Open MPI 5.0.1";
  EXPECT_EQ(introduce(other), "it has Open MPI 5.0.1, node 0 Open MPI 4.1.4");
  other = node(2);
  other.nnodes = 2;
  EXPECT_EQ(introduce(other), "it was started with --nnodes 2, node 0 with 3");
  other = node(1);
  other.host = "elsewhere";
  EXPECT_EQ(introduce(other), "--node_rank 1 is already taken by host1 (127.0.0.1)");
  EXPECT_EQ(introduce(node(3)), "--node_rank 3 does not exist among 3 nodes");
  EXPECT_EQ(introduce(node(0)).substr(0, 23), "--node_rank 0 does not ");
  other = node(2);
  other.host = "host1";
  EXPECT_NE(introduce(other).find("its host name host1 is that of node 1"), std::string::npos);
  EXPECT_EQ(introduce(node(2), &two), "welcome");
  const std::vector<Node> nodes = nodes_.get();
  ASSERT_EQ(nodes.size(), 2u);
  EXPECT_EQ(nodes[0].text(), "node 1 (host1, 127.0.0.1)");
  EXPECT_EQ(nodes[1].who.node_rank, 2);
  EXPECT_EQ(meeting_.self.network, "127.0.0.0/8");
  const FileDescriptor late(::socket(AF_INET, SOCK_STREAM, 0));
  const sockaddr_in a = socket_address("127.0.0.1", port_);
  EXPECT_NE(::connect(late.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a), 0) << "the port is still open";
}

TEST_F(Gather, ANodeThatLeavesMakesRoom) {
  begin(30, 3);
  std::optional<Link> first, again, two;
  EXPECT_EQ(introduce(node(1), &first), "welcome");
  first.reset();
  EXPECT_EQ(introduce(node(2), &two), "welcome");
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(introduce(node(1), &again), "welcome");
  EXPECT_EQ(nodes_.get().size(), 2u);
}

TEST_F(Gather, GoesOnWithFewerWhereThatIsAllowed) {
  begin(1, 2);
  std::optional<Link> two;
  EXPECT_EQ(introduce(node(2), &two), "welcome");
  const std::vector<Node> nodes = nodes_.get();
  ASSERT_EQ(nodes.size(), 1u);
  EXPECT_EQ(nodes[0].who.node_rank, 2);
}

TEST_F(Gather, GivesUpWithTooFew) {
  begin(0.3, 2);
  try {
    nodes_.get();
    FAIL() << "it began alone";
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("not here after 0.3 s: 1, 2"), std::string::npos) << e.what();
    EXPECT_EQ(e.code(), ExitCode::failure);
  }
}

}  // namespace
}  // namespace rk
