// What a rank's collectives wait for on its GPU, in words.
#pragma once
#include <cstddef>

namespace rk {

class Pending {
 public:
  virtual ~Pending() = default;
  // Writes at most n bytes, the closing zero included, and returns the length of the text; nothing is under way: 0. Called by a thread that
  // watches while all others may be stuck: takes no lock, allocates nothing, asks no driver.
  virtual size_t describe(char* text, size_t n) const noexcept = 0;
};

}  // namespace rk
