// Matrices with orthonormal columns.
#pragma once
#include <cstdint>
#include <span>

namespace rk {

class ThreadPool;

// a [rows, cols], rows >= cols, of full rank, becomes the Q of its QR whose R has a positive diagonal; |Q^T Q - I| stays
// below 1e-5. The same bits for any number of threads; `pool` (may be null) shares the work.
void orthonormalise(std::span<float> a, int64_t rows, int64_t cols, ThreadPool* pool);

}  // namespace rk
