// Counts what the test program takes from the heap through operator new.
#pragma once
#include <cstdint>

namespace rk {

int64_t allocations();

}  // namespace rk
