#include "train/host_room.h"

#include <sys/sysinfo.h>

#include <algorithm>
#include <fstream>
#include <limits>

#include "base/error.h"
#include "train/memory_plan.h"

namespace rk {
namespace {

constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();

// The limit of the group that a container puts its processes into; version 2, then 1.
size_t group_limit() {
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::ifstream file(path);
    size_t limit = 0;
    if (file >> limit) return limit;  // "max" is no number
  }
  return kNoLimit;
}

}  // namespace

std::string check_host_room(size_t needed) {
  if (const size_t limit = group_limit(); needed > limit)
    fail(cat("the run needs ", mebibytes(needed), " of this host's memory, and its control group allows ", mebibytes(limit),
             "; give the container more, use more hosts, or leave --offload out"));
  struct sysinfo host {};
  if (::sysinfo(&host) != 0) return {};
  const size_t shown = (host.totalram + host.totalswap) * host.mem_unit;
  if (needed <= shown) return {};
  return cat("warning: the run needs ", mebibytes(needed), " of this host's memory, which shows ", mebibytes(shown));
}

}  // namespace rk
