// Errors that one rank may meet alone, made common before anyone acts on them.
#pragma once
#include <functional>

#include "comm/comm.h"

namespace rk {

// Runs `action` on every rank. If it throws on any rank, all ranks throw: the message and exit code of the lowest failing
// rank, prefixed by "rank R: " where the world is larger than one and not all ranks failed alike.
void agree(Comm& comm, const std::function<void()>& action);

}  // namespace rk
