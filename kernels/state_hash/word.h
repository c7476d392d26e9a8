// The word of one element, the same for every device.
#pragma once
#include <cstdint>

#include "base/any_device.h"

namespace rk {

ROOKERY_ANY_DEVICE inline uint64_t mix_word(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

ROOKERY_ANY_DEVICE inline uint64_t state_word(uint64_t key, int64_t index, uint64_t bits) {
  return mix_word(mix_word(key + static_cast<uint64_t>(index) * 0x9e3779b97f4a7c15u) ^ bits);
}

}  // namespace rk
