// Where work runs: the first argument of every operator.
#pragma once
#include "device/buffer.h"
#include "device/thread_pool.h"

namespace rk {

struct Exec {
  Device device = Device::cpu;
  ThreadPool* pool = nullptr;
  Arena* kept = nullptr;     // what lives from a unit's forward to its backward
  Arena* scratch = nullptr;  // what lives inside one call

  // In a dry run arenas only count, and operators return before touching memory.
  bool dry() const { return scratch && scratch->measuring(); }
};

}  // namespace rk
