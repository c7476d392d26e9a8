#include "train/host_room.h"

#include "base/error.h"
#include "device/host_memory.h"
#include "train/memory_plan.h"

namespace rk {

std::string check_host_room(size_t needed) {
  const HostMemory host = host_memory();
  if (host.limit > 0 && needed > host.limit)
    fail(cat("the run needs ", mebibytes(needed), " of this host's memory, and its control group allows ", mebibytes(host.limit),
             "; give the container more, use more hosts, or leave --offload out"));
  if (host.total == 0 || needed <= host.total) return {};
  return cat("warning: the run needs ", mebibytes(needed), " of this host's memory, which shows ", mebibytes(host.total));
}

}  // namespace rk
