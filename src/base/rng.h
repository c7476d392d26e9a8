// Counter-based random numbers (Philox 4x32-10, Salmon et al. 2011): a value depends on key and counter alone,
// so any element can be drawn by any rank, in any order, again.
#pragma once
#include <array>
#include <cstdint>

namespace rk {

// Sixteen random bytes for (key, counter).
std::array<uint32_t, 4> philox(uint64_t key, uint64_t counter_high, uint64_t counter_low);

// A stream of numbers named by (seed, stream); element i of it is the same whoever asks.
class Random {
 public:
  Random(uint64_t seed, uint64_t stream) : seed_(seed), stream_(stream) {}
  double uniform(uint64_t i) const;  // [0, 1), 53 bits
  double normal(uint64_t i) const;   // standard normal (Box-Muller over element i's own bits)

 private:
  uint64_t seed_, stream_;
};

// A stable 64-bit number for a name, to use as a stream.
uint64_t stream_of(const char* text);

}  // namespace rk
