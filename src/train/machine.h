// What a rank computes with.
#pragma once
#include "device/gpu.h"

namespace rk {

struct Machine {
  int threads = 1;
  Gpu* gpu = nullptr;  // null: the CPU
};

}  // namespace rk
