// What an authenticated link refuses.
#include "launch/rendezvous/link.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include "launch/rendezvous/crypto.h"

namespace rk {
namespace {

constexpr char secret[] = "a secret of 26 characters.";

struct SocketPair {
  FileDescriptor a, b;
  SocketPair() {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    a = FileDescriptor(fds[0]);
    b = FileDescriptor(fds[1]);
  }
};

// A leader and a follower with somebody between them who sees, keeps and changes bytes.
struct Between {
  Link leader, follower;
  FileDescriptor to_leader, to_follower;
  std::vector<std::string> from_leader, from_follower;  // what each wrote, frame by frame

  static Between make(const std::string& leader_secret, const std::string& follower_secret) {
    SocketPair l, f;
    return {Link(std::move(l.a), Link::Role::leader, leader_secret),
            Link(std::move(f.a), Link::Role::follower, follower_secret),
            std::move(l.b),
            std::move(f.b),
            {},
            {}};
  }

  static std::string take(const FileDescriptor& fd) {
    char buffer[4096];
    const ssize_t n = ::recv(fd.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    return n > 0 ? std::string(buffer, static_cast<size_t>(n)) : std::string();
  }
  static void give(const FileDescriptor& fd, const std::string& bytes) {
    EXPECT_EQ(::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }
  static std::optional<Message> hear(Link& link) {
    link.receive();
    return link.next();
  }
  // Passes one frame on.
  std::optional<Message> pass_to_leader() {
    from_follower.push_back(take(to_follower));
    give(to_leader, from_follower.back());
    return hear(leader);
  }
  std::optional<Message> pass_to_follower() {
    from_leader.push_back(take(to_leader));
    give(to_follower, from_leader.back());
    return hear(follower);
  }
  void shake_hands() {
    pass_to_leader();
    pass_to_follower();
    pass_to_leader();
    pass_to_follower();
  }
};

Message output(const std::string& text) { return {Message::Kind::output, {text}}; }

TEST(Link, CarriesMessagesBothWays) {
  Between b = Between::make(secret, secret);
  EXPECT_FALSE(b.leader.established());
  b.shake_hands();
  ASSERT_TRUE(b.leader.established() && b.follower.established());
  b.follower.send(output("one"));
  std::optional<Message> m = b.pass_to_leader();
  ASSERT_TRUE(m);
  EXPECT_EQ(m->word(0), "one");
  b.leader.send({Message::Kind::finish, {"75"}});
  m = b.pass_to_follower();
  ASSERT_TRUE(m);
  EXPECT_EQ(m->number(0), 75);
  EXPECT_EQ(m->number(1), -1);
}

TEST(Link, SecretNeverTravels) {
  Between b = Between::make(secret, secret);
  b.shake_hands();
  for (const auto& side : {b.from_leader, b.from_follower})
    for (const std::string& bytes : side) EXPECT_EQ(bytes.find(secret), std::string::npos);
}

TEST(Link, RefusesAWrongSecret) {
  Between b = Between::make(secret, "another one, 16 bytes");
  b.pass_to_leader();
  b.pass_to_follower();
  b.pass_to_leader();
  EXPECT_FALSE(b.leader.established());
  EXPECT_EQ(b.leader.fault(), "it does not know the secret");
}

TEST(Link, FollowerRefusesALeaderWithoutTheSecret) {
  Between b = Between::make("another one, 16 bytes", secret);
  b.pass_to_leader();
  b.pass_to_follower();
  Between::give(b.to_follower, std::string("\0\0\0\x20", 4) + std::string(32, 'x'));
  Between::hear(b.follower);
  EXPECT_FALSE(b.follower.established());
  EXPECT_EQ(b.follower.fault(), "it does not know the secret");
}

// The leader's nonce is new, so the recorded proof is of no use.
TEST(Link, RefusesAReplayedConnection) {
  Between first = Between::make(secret, secret);
  first.shake_hands();
  first.follower.send(output("again"));
  first.pass_to_leader();
  Between second = Between::make(secret, secret);
  for (const std::string& bytes : first.from_follower) {
    Between::give(second.to_leader, bytes);
    Between::hear(second.leader);
  }
  EXPECT_FALSE(second.leader.established());
  EXPECT_EQ(second.leader.fault(), "it does not know the secret");
}

TEST(Link, RefusesAReplayedMessage) {
  Between b = Between::make(secret, secret);
  b.shake_hands();
  b.follower.send(output("once"));
  EXPECT_TRUE(b.pass_to_leader());
  Between::give(b.to_leader, b.from_follower.back());
  EXPECT_FALSE(Between::hear(b.leader));
  EXPECT_NE(b.leader.fault(), "");
}

TEST(Link, RefusesReorderedMessages) {
  Between b = Between::make(secret, secret);
  b.shake_hands();
  b.follower.send(output("first"));
  const std::string first = Between::take(b.to_follower);
  b.follower.send(output("second"));
  Between::give(b.to_leader, Between::take(b.to_follower) + first);
  EXPECT_FALSE(Between::hear(b.leader));
  EXPECT_NE(b.leader.fault(), "");
}

// What the leader has sent is sent back to it: as a proof, and as a message.
TEST(Link, RefusesReflection) {
  Between b = Between::make(secret, secret);
  b.shake_hands();
  b.leader.send(output("mine"));
  Between::give(b.to_leader, Between::take(b.to_leader));
  EXPECT_FALSE(Between::hear(b.leader));
  EXPECT_NE(b.leader.fault(), "");
}

TEST(Link, RefusesAChangedMessage) {
  Between b = Between::make(secret, secret);
  b.shake_hands();
  b.follower.send(output("pay 100"));
  std::string bytes = Between::take(b.to_follower);
  bytes.back() = '9';
  Between::give(b.to_leader, bytes);
  EXPECT_FALSE(Between::hear(b.leader));
  EXPECT_NE(b.leader.fault(), "");
}

TEST(Link, RefusesALongGreeting) {
  Between b = Between::make(secret, secret);
  Between::give(b.to_leader, "GET / HTTP/1.1\r\n\r\n");  // its first bytes are a length of gigabytes
  Between::hear(b.leader);
  EXPECT_NE(b.leader.fault().find("where at most 256 are expected"), std::string::npos) << b.leader.fault();
}

TEST(Link, RefusesAnUnknownGreeting) {
  Between b = Between::make(secret, secret);
  Between::give(b.to_leader, std::string("\0\0\0\x04", 4) + "abcd");
  Between::hear(b.leader);
  EXPECT_NE(b.leader.fault().find("does not speak"), std::string::npos) << b.leader.fault();
}

TEST(Link, RefusesAnOversizedMessage) {
  Between b = Between::make(secret, secret);
  b.shake_hands();
  Between::give(b.to_leader, std::string("\x7f\xff\xff\xff", 4));
  Between::hear(b.leader);
  EXPECT_NE(b.leader.fault().find("it sent a message of 2147483647 bytes"), std::string::npos) << b.leader.fault();
}

// Whatever a stranger says, at whatever stage, it is not believed.
TEST(Link, RefusesNoise) {
  for (int seed = 0; seed < 300; ++seed) {
    Between b = Between::make(secret, secret);
    std::string noise = hmac_sha256("noise", std::to_string(seed)) + hmac_sha256("more", std::to_string(seed));
    if (seed % 2) noise = std::string("\0\0\0\x20", 4) + noise;  // looks like a proof
    const int n_honest = seed % 3;
    if (n_honest > 0) b.pass_to_leader();
    if (n_honest > 1) b.pass_to_follower();
    Between::give(b.to_leader, noise);
    EXPECT_FALSE(Between::hear(b.leader)) << seed;
    EXPECT_FALSE(b.leader.established()) << seed;
    EXPECT_NE(b.leader.fault(), "") << seed;
  }
}

TEST(Link, TellsATruncatedMessageFromAnEnd) {
  Between b = Between::make(secret, secret);
  b.shake_hands();
  b.follower.send(output("whole"));
  const std::string bytes = Between::take(b.to_follower);
  Between::give(b.to_leader, bytes + bytes.substr(0, bytes.size() - 1));
  b.to_leader = FileDescriptor();
  EXPECT_TRUE(Between::hear(b.leader));
  b.leader.receive();
  EXPECT_FALSE(b.leader.next());
  EXPECT_EQ(b.leader.fault(), "the connection ended in the middle of a message");
}

TEST(Link, NoticesAnEnd) {
  Between b = Between::make(secret, secret);
  b.shake_hands();
  b.to_leader = FileDescriptor();
  Between::hear(b.leader);
  EXPECT_EQ(b.leader.fault(), "it closed the connection");
}

TEST(Link, SilenceIsAFaultUnlessItWasAnnounced) {
  const auto later = Clock::now() + std::chrono::seconds(60);
  Between b = Between::make(secret, secret);
  b.shake_hands();
  b.follower.send({Message::Kind::suspended, {}});
  EXPECT_FALSE(b.pass_to_leader());  // not for the caller
  b.leader.keep_alive(later);
  EXPECT_EQ(b.leader.fault(), "");
  b.follower.send({Message::Kind::alive, {}});
  b.pass_to_leader();
  b.leader.keep_alive(later);
  EXPECT_EQ(b.leader.fault(), "nothing was heard of it for 18 s");
}

TEST(Message, OnlyWholeOnesAreUnderstood) {
  const Message m{Message::Kind::start, {"", "two words", std::string("\0", 1)}};
  const std::string bytes = encode(m);
  const std::optional<Message> back = decode(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->words, m.words);
  for (size_t n : {size_t{0}, size_t{2}, bytes.size() - 1}) EXPECT_FALSE(decode(bytes.substr(0, n))) << n;
  EXPECT_FALSE(decode("\x7f"));
  EXPECT_FALSE(decode("\xff"));
}

TEST(Crypto, HmacIsThatOfRfc4231) {
  const std::string mac = hmac_sha256("Jefe", "what do ya want for nothing?");
  std::string hex;
  for (unsigned char c : mac) {
    hex += "0123456789abcdef"[c >> 4];
    hex += "0123456789abcdef"[c & 15];
  }
  EXPECT_EQ(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

}  // namespace
}  // namespace rk
