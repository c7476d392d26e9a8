// The signals of a process that watches over others, taken one after the other in its loop.
#pragma once
#include <csignal>
#include <optional>

#include "launch/rendezvous/file_descriptor.h"

namespace rk {

// While alive, INT, TERM, HUP (unless ignored: nohup), USR1, USR2, TSTP and CHLD interrupt nothing and wait in fd().
class SignalQueue {
 public:
  SignalQueue();
  SignalQueue(const SignalQueue&) = delete;
  SignalQueue& operator=(const SignalQueue&) = delete;
  ~SignalQueue();

  int fd() const { return fd_.get(); }  // readable when next() has something
  std::optional<int> next();
  const sigset_t& mask_before() const { return before_; }  // what children are to have

 private:
  sigset_t before_{};
  FileDescriptor fd_;
};

inline bool asks_to_stop(int signal) { return signal == SIGINT || signal == SIGTERM || signal == SIGHUP; }

}  // namespace rk
