#include "launch/rendezvous/frames.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "base/error.h"

namespace rk {
namespace {

constexpr size_t header_bytes = 4;
constexpr size_t most_waiting_output = size_t{16} << 20;  // of a peer that takes nothing

size_t length_in(const std::string& input) {
  size_t n = 0;
  for (size_t i = 0; i < header_bytes; ++i) n = n << 8 | static_cast<uint8_t>(input[i]);
  return n;
}

bool would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

Frames::Frames(FileDescriptor socket, size_t most_bytes) : socket_(std::move(socket)), most_bytes_(most_bytes) {
  ::fcntl(fd(), F_SETFL, ::fcntl(fd(), F_GETFL) | O_NONBLOCK);
  ::fcntl(fd(), F_SETFD, FD_CLOEXEC);
}

void Frames::receive() {
  if (!fault_.empty() || at_end_) return;
  char buffer[65536];
  const ssize_t n = ::recv(fd(), buffer, sizeof buffer, 0);
  if (n > 0) {
    input_.append(buffer, static_cast<size_t>(n));
  } else if (n == 0) {
    at_end_ = true;
  } else if (!would_block(errno)) {
    fault_ = cat("the connection broke: ", std::strerror(errno));
  }
}

std::optional<std::string> Frames::next() {
  if (!fault_.empty()) return {};
  const bool has_header = input_.size() >= header_bytes;
  const size_t n = has_header ? length_in(input_) : 0;
  if (n > most_bytes_) {
    fault_ = cat("it sent a message of ", n, " bytes where at most ", most_bytes_, " are expected");
  } else if (has_header && input_.size() >= header_bytes + n) {
    std::string frame = input_.substr(header_bytes, n);
    input_.erase(0, header_bytes + n);
    return frame;
  } else if (at_end_) {
    fault_ = input_.empty() ? "it closed the connection" : "the connection ended in the middle of a message";
  }
  return {};
}

void Frames::send(std::string_view frame) {
  if (!fault_.empty()) return;
  for (size_t i = header_bytes; i-- > 0;) output_.push_back(static_cast<char>(frame.size() >> (8 * i)));
  output_ += frame;
  flush();
  if (output_.size() > most_waiting_output) fault_ = "it takes no messages";
}

void Frames::flush() {
  while (fault_.empty() && !output_.empty()) {
    const ssize_t n = ::send(fd(), output_.data(), output_.size(), MSG_NOSIGNAL);
    if (n < 0 && would_block(errno)) return;
    if (n < 0) {
      const bool other_side_left = errno == EPIPE || errno == ECONNRESET;  // receive() finds its end behind its last words
      if (!other_side_left) fault_ = cat("the connection broke: ", std::strerror(errno));
      output_.clear();
      return;
    }
    output_.erase(0, static_cast<size_t>(n));
  }
}

void Frames::finish() { ::shutdown(fd(), SHUT_WR); }

}  // namespace rk
