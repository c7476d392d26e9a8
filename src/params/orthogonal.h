// Matrices with orthonormal columns.
#pragma once
#include <cstdint>
#include <span>

#include "params/scratch_array.h"

namespace rk {

class ThreadPool;

// What orthonormalise() works in, kept from one matrix to the next: about 4 cols^2 bytes, and where rows < 3 cols 8 cols (rows + cols)
// more.
struct OrthogonalMemory {
  ScratchArray<float> gram;
  ScratchArray<double> wide, wide_gram;
};

// a [rows, cols], rows >= cols, of full rank, becomes the Q of its QR whose R has a positive diagonal; |Q^T Q - I| stays
// below 1e-5. The same bits for any number of threads; `pool` (may be null) shares the work.
void orthonormalise(std::span<float> a, int64_t rows, int64_t cols, ThreadPool* pool, OrthogonalMemory& memory);

}  // namespace rk
