// Large counts in pieces that an MPI call can take.
#pragma once
#include <algorithm>
#include <climits>
#include <cstddef>

namespace rk {

// The most bytes of one message: MPI-3 counts are ints. Tests lower it.
inline constexpr size_t kMaxMessageBytes = INT_MAX;

// Calls body(offset, n) for consecutive pieces of [0, n_bytes), each of at most `limit` <= INT_MAX bytes; never for none.
template <class Body>
void for_each_chunk(size_t n_bytes, size_t limit, const Body& body) {
  for (size_t offset = 0; offset < n_bytes; offset += limit) body(offset, static_cast<int>(std::min(limit, n_bytes - offset)));
}

}  // namespace rk
