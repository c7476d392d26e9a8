// Whether a host has the memory that a run wants to pin there.
#pragma once
#include <cstddef>
#include <string>

namespace rk {

// needed: bytes of all ranks of this host. fail()s where the control groups of this process allow less. A warning where the host shows less
// than that: a virtual machine may show more later; empty: there is room.
std::string check_host_room(size_t needed);

}  // namespace rk
