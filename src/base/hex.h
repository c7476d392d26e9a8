// Hashes as text.
#pragma once
#include <cstdint>
#include <string>

namespace rk {

std::string hex(uint64_t x);  // 16 digits

}  // namespace rk
