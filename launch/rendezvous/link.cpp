#include "launch/rendezvous/link.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/error.h"
#include "launch/rendezvous/crypto.h"

namespace rk {
namespace {

constexpr char greeting[] = "rookery launch 1\n";  // of this protocol
constexpr size_t nonce_bytes = 32;
constexpr size_t most_handshake_bytes = 256;
constexpr size_t most_message_bytes = size_t{8} << 20;  // commands and environments of thousands of nodes are shorter
constexpr std::chrono::seconds heartbeat{3};
constexpr std::chrono::seconds silence{18};

Link::Role other(Link::Role role) { return role == Link::Role::leader ? Link::Role::follower : Link::Role::leader; }

// The kernel's own watch over a connection; unknown to sockets that are not TCP.
void watch_connection(int fd) {
  const auto set = [fd](int level, int option, int value) { ::setsockopt(fd, level, option, &value, sizeof value); };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 5);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_NODELAY, 1);
}

}  // namespace

Link::Link(FileDescriptor socket, Role role, const std::string& secret)
    : frames_(std::move(socket), most_handshake_bytes),
      role_(role),
      secret_(secret),
      nonce_(random_bytes(nonce_bytes)),
      sent_(Clock::now()),
      heard_(sent_) {
  watch_connection(fd());
  if (role_ == Role::follower) frames_.send(greeting + nonce_);
}

std::string Link::proof_of(Role role) const {
  return hmac_sha256(secret_, (role == Role::leader ? "leader's proof" : "follower's proof") + nonces_);
}

std::string Link::mac(Role sender, uint64_t number, std::string_view text) const {
  std::string numbered;
  for (int shift = 56; shift >= 0; shift -= 8) numbered.push_back(static_cast<char>(number >> shift));
  numbered += text;
  return hmac_sha256(key_[static_cast<int>(sender)], numbered);
}

void Link::begin_session() {
  for (Role sender : {Role::leader, Role::follower})
    key_[static_cast<int>(sender)] = hmac_sha256(secret_, (sender == Role::leader ? "leader's key" : "follower's key") + nonces_);
  secret_.clear();
  frames_.allow(mac_bytes + most_message_bytes);
  step_ = Step::established;
}

void Link::hear_hello(const std::string& frame) {
  const std::string expected = greeting;
  if (frame.size() != expected.size() + nonce_bytes || !frame.starts_with(expected)) {
    fault_ = "it does not speak as `rookery launch` of this version does";
    return;
  }
  const std::string theirs = frame.substr(expected.size());
  nonces_ = role_ == Role::leader ? theirs + nonce_ : nonce_ + theirs;
  step_ = Step::proof;
  frames_.send(role_ == Role::leader ? expected + nonce_ : proof_of(Role::follower));
}

void Link::hear_proof(const std::string& frame) {
  if (!equal_in_constant_time(frame, proof_of(other(role_)))) {
    fault_ = "it does not know the secret";
    return;
  }
  if (role_ == Role::leader) frames_.send(proof_of(Role::leader));
  begin_session();
}

void Link::hear(const std::string& frame) {
  if (step_ == Step::hello) return hear_hello(frame);
  if (step_ == Step::proof) return hear_proof(frame);
  const std::string_view bytes = std::string_view(frame).substr(std::min(frame.size(), mac_bytes));
  if (!equal_in_constant_time(std::string_view(frame).substr(0, mac_bytes), mac(other(role_), n_received_, bytes))) {
    fault_ = "a message came that it has not sent, or not in this place";
    return;
  }
  ++n_received_;
  message_ = decode(bytes);
  if (!message_) fault_ = "it sent a message that this version does not know";
}

void Link::receive() { frames_.receive(); }

std::optional<Message> Link::next() {
  while (fault_.empty()) {
    const std::optional<std::string> frame = frames_.next();
    if (!frame) break;
    heard_ = Clock::now();
    hear(*frame);
    if (!message_) continue;
    peer_suspended_ = message_->kind == Message::Kind::suspended;
    if (message_->kind != Message::Kind::alive && message_->kind != Message::Kind::suspended) return std::exchange(message_, {});
    message_.reset();
  }
  if (fault_.empty() && !frames_.fault().empty() && step_ == Step::proof && role_ == Role::follower) fault_ = "it refused the secret";
  return {};
}

void Link::send(const Message& message) {
  require(established(), "messages are sent over an authenticated connection");
  const std::string bytes = encode(message);
  frames_.send(mac(role_, n_sent_++, bytes) + bytes);
  sent_ = Clock::now();
}

void Link::keep_alive(Clock::time_point now) {
  if (!established()) return;
  if (now - sent_ >= heartbeat) send({Message::Kind::alive, {}});
  if (!peer_suspended_ && now - heard_ >= silence && fault_.empty()) fault_ = cat("nothing was heard of it for ", silence.count(), " s");
}

}  // namespace rk
