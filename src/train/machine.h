// What a rank computes with.
#pragma once
#include "device/gpu.h"

namespace rk {

struct Machine {
  int threads = 1;
  Gpu* gpu = nullptr;  // null: the CPU
  int node = 0, n_nodes = 1;  // hosts of the run; each has equally many ranks
};

}  // namespace rk
