// Byte strings of known length over a stream socket, without blocking.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "launch/rendezvous/file_descriptor.h"

namespace rk {

// A frame is its length (4 bytes, big-endian) and its bytes. Nothing longer than the limit is taken or kept.
class Frames {
 public:
  Frames(FileDescriptor socket, size_t most_bytes);  // makes the socket non-blocking

  void receive();  // takes what has arrived
  std::optional<std::string> next();
  void send(std::string_view frame);  // queues it and sends what the socket takes now
  void flush();
  bool has_output() const { return !output_.empty(); }

  // Why nothing more will come, once all complete frames have been taken; empty while there may be more.
  const std::string& fault() const { return fault_; }
  void allow(size_t most_bytes) { most_bytes_ = most_bytes; }
  int fd() const { return socket_.get(); }
  void finish();  // no more output; the other side sees an end behind what was sent

 private:
  FileDescriptor socket_;
  size_t most_bytes_;
  std::string input_, output_;
  std::string fault_;
  bool at_end_ = false;
};

}  // namespace rk
