// CRC-32 as ZIP archives have it, at the speed of memory.
#pragma once
#include <cstddef>
#include <cstdint>

namespace rk::zip {

// The checksum of some bytes (0 for none), continued over n_bytes more.
uint32_t crc32(uint32_t crc, const void* data, size_t n_bytes);

}  // namespace rk::zip
