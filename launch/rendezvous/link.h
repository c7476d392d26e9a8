// An authenticated connection between two launchers.
#pragma once
#include <chrono>
#include <optional>
#include <string>

#include "launch/rendezvous/frames.h"
#include "launch/rendezvous/message.h"

namespace rk {

using Clock = std::chrono::steady_clock;

// Both sides prove by HMAC-SHA256 over fresh nonces of both that they know the secret; the follower first. Each direction has a key of its
// own for this connection, and each message a MAC over its number and its bytes: nothing can be replayed, reordered, left out, reflected
// or changed without a fault. Messages are not encrypted.
class Link {
 public:
  enum class Role { leader, follower };
  Link(FileDescriptor socket, Role role, const std::string& secret);

  void receive();
  std::optional<Message> next();  // heartbeats are kept from the caller
  void send(const Message& message);
  void flush() { frames_.flush(); }
  bool has_output() const { return frames_.has_output(); }
  void finish() { frames_.finish(); }
  int fd() const { return frames_.fd(); }

  bool established() const { return step_ == Step::established; }
  // Why the connection is of no use any more; empty while it is. Ends a sentence that begins with the peer.
  const std::string& fault() const { return fault_.empty() ? frames_.fault() : fault_; }

  // Sends a heartbeat where nothing else was sent lately; a peer from which nothing has come for too long is a fault.
  void keep_alive(Clock::time_point now);

 private:
  enum class Step { hello, proof, established };
  void hear(const std::string& frame);
  void hear_hello(const std::string& frame);
  void hear_proof(const std::string& frame);
  void begin_session();
  std::string proof_of(Role role) const;
  std::string mac(Role sender, uint64_t number, std::string_view text) const;

  Frames frames_;
  Role role_;
  std::string secret_;
  Step step_ = Step::hello;
  std::string nonce_, nonces_;  // ours; the follower's and the leader's
  std::string key_[2];          // of what the leader, the follower sends
  uint64_t n_sent_ = 0, n_received_ = 0;
  std::optional<Message> message_;
  std::string fault_;
  Clock::time_point sent_, heard_;
  bool peer_suspended_ = false;
};

}  // namespace rk
