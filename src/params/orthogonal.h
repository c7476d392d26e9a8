// Random matrices with orthonormal columns.
#pragma once
#include <cstdint>
#include <vector>

namespace rk {

class ThreadPool;

// Q [rows, cols], rows >= cols, of the QR of a Gaussian matrix, R's diagonal positive: uniform over the orthonormal
// matrices. |Q^T Q - I| stays below 1e-5. The same bits for any number of threads.
struct Orthonormal {
  int64_t rows, cols;
  uint64_t seed, stream;
};
std::vector<float> draw(const Orthonormal& a, ThreadPool* pool);

}  // namespace rk
