// How much memory this machine has for this process.
#pragma once
#include <cstddef>
#include <string>

namespace rk {

// In bytes.
struct HostMemory {
  // Of the machine, as it says now. Some virtual machines are given memory while they use it: theirs is small at first and grows.
  size_t total = 0;
  // What can be taken now without swapping, inside the limit. Grows with total.
  size_t available = 0;
  // The tightest limit of the control groups (v1 or v2) of this process; 0: none.
  size_t limit = 0;

  // What the process can have at most. A limit counts for more than total, which may still grow; without one, total is the best guess.
  size_t most() const { return limit ? limit : total; }
};

// What cannot be read counts as not limited; without /proc/meminfo all is 0.
HostMemory host_memory(const std::string& proc = "/proc", const std::string& control_groups = "/sys/fs/cgroup");

}  // namespace rk
