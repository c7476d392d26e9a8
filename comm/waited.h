// How long this rank has waited for others.
#pragma once
#include "comm/comm.h"

namespace rk {

// Seconds that this rank has spent in collectives of host tensors, waiting for their ends, in all groups; 0 where nobody counts.
double waited_s(Comm& world);

}  // namespace rk
