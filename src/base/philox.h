// Philox 4x32-10 (Salmon et al. 2011), the same on every device.
#pragma once
#include <cstdint>

#include "base/any_device.h"

namespace rk {

// counter c becomes sixteen random bytes under `key`.
ROOKERY_ANY_DEVICE inline void philox_rounds(uint64_t key, uint32_t (&c)[4]) {
  auto k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = 0xD2511F53ull * c[0], p1 = 0xCD9E8D57ull * c[2];
    c[0] = static_cast<uint32_t>(p1 >> 32) ^ c[1] ^ k0;
    c[2] = static_cast<uint32_t>(p0 >> 32) ^ c[3] ^ k1;
    c[1] = static_cast<uint32_t>(p1);
    c[3] = static_cast<uint32_t>(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
}

}  // namespace rk
