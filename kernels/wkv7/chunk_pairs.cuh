// Products where one warp owns all 32 tokens of a chunk, so that fragments of B serve both halves. Code is kept short, and addresses cheap:
// the offsets of a lane are found once, and pieces of a row are reached by exclusive or. Tiles are Swizzled (chunk.cuh).
#pragma once
#include "kernels/wkv7/chunk_documents.cuh"

namespace rk::cuda::wkv7 {

// Byte offsets of this lane in tiles of 64 columns (rows of 128 bytes, "wide") and 32 columns (64 bytes, "narrow").
struct LanePlaces {
  int plain, transposed;                // ldmatrix of a_of / b_of, and of their transposes
  int narrow_plain, narrow_transposed;  // the same in narrow tiles
  int acc, narrow_acc;                  // an accumulator's pair of numbers
  __device__ __forceinline__ LanePlaces() {
    const int l = lane_index(), low = l % 16, row = l % 8 + l / 16 * 8, g = l / 4, q = l % 4;
    plain = low * 128 + ((l / 16) ^ (l % 8)) * 16;
    transposed = row * 128 + ((l / 8 % 2) ^ (l % 8)) * 16;
    narrow_plain = low * 64 + ((l / 16) ^ (low / 2 % 4)) * 16;
    narrow_transposed = row * 64 + ((l / 8 % 2) ^ (row / 2 % 4)) * 16;
    acc = g * 128 + g * 16 + q * 4;
    narrow_acc = g * 64 + g / 2 % 4 * 16 + q * 4;
  }
};

__device__ __forceinline__ const char* bytes(const void* tile) { return static_cast<const char*>(tile); }
__device__ __forceinline__ char* bytes(void* tile) { return static_cast<char*>(tile); }

// A operands at (row, column), multiples of 16: A[m][k] = tile[row + m][column + k], of narrow tiles also tile[row + k][column + m].
__device__ __forceinline__ void wide(uint32_t (&r)[4], const void* tile, const LanePlaces& at, int row, int column) {
  load_matrices(r, bytes(tile) + ((at.plain ^ (column * 2)) + row * 128));
}
__device__ __forceinline__ void narrow(uint32_t (&r)[4], const void* tile, const LanePlaces& at, int row, int column) {
  load_matrices(r, bytes(tile) + ((at.narrow_plain ^ (column * 2)) + row * 64));
}
__device__ __forceinline__ void narrow_transposed(uint32_t (&r)[4], const void* tile, const LanePlaces& at, int row, int column) {
  load_matrices_transposed(r, bytes(tile) + ((at.narrow_transposed ^ (column * 2)) + row * 64));
}
// B[k][n] = tile[row + k][column + n], two tiles of n: registers 0, 1 and 2, 3.
__device__ __forceinline__ void wide_b(uint32_t (&r)[4], const void* tile, const LanePlaces& at, int row, int column) {
  load_matrices_transposed(r, bytes(tile) + ((at.plain ^ (column * 2)) + row * 128));
}
// B[k][n] = tile[row + n][column + k].
__device__ __forceinline__ void wide_b_transposed(uint32_t (&r)[4], const void* tile, const LanePlaces& at, int row, int column) {
  load_matrices(r, bytes(tile) + ((at.transposed ^ (column * 2)) + row * 128));
}

__device__ __forceinline__ void multiply(float (&left)[4], float (&right)[4], const uint32_t (&a)[4], const uint32_t (&b)[4]) {
  const uint32_t b0[2] = {b[0], b[1]}, b1[2] = {b[2], b[3]};
  mma(left, a, b0, static_cast<const __half*>(nullptr));
  mma(right, a, b1, static_cast<const __half*>(nullptr));
}

template <int NT>
__device__ __forceinline__ void clear(float (&d)[2][NT][4]) {
#pragma unroll
  for (int m = 0; m < 2; ++m)
#pragma unroll
    for (int n = 0; n < NT; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) d[m][n][i] = 0;
}

// Row of acc[m][n][2 * half + e].
__device__ __forceinline__ int pair_row(int m, int half) { return 16 * m + acc_row(2 * half); }

// Byte offset of the pair of accumulator (m, half) whose column is that of piece `piece` (8 columns), in a wide tile.
__device__ __forceinline__ int pair_place(const LanePlaces& at, int m, int half, int piece) {
  return (at.acc ^ (piece * 16)) + (16 * m + 8 * half) * 128;
}

// d = x yT, column up to the row (`bound` 1) or before it (`bound` 0), of two tiles of 32 tokens; zero elsewhere. The block of 16 above the
// diagonal is not made: it is left out wherever a triangle is used.
struct TokenProduct {
  float low[2][4], high[4][4];  // rows of the first 16 tokens, of the others

  __device__ __forceinline__ void make(const void* x, const void* y, const LanePlaces& at, int bound) {
#pragma unroll
    for (int n = 0; n < 4; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        if (n < 2) low[n][i] = 0;
        high[n][i] = 0;
      }
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      uint32_t a[4], b[4];
      wide_b_transposed(b, y, at, 0, 16 * k);
      wide(a, x, at, 0, 16 * k);
      multiply(low[0], low[1], a, b);
      wide(a, x, at, 16, 16 * k);
      multiply(high[0], high[1], a, b);
      wide_b_transposed(b, y, at, 16, 16 * k);
      multiply(high[2], high[3], a, b);
    }
    // Selects: what is dropped may be huge.
    const int past = lane_index() % 4 * 2 - lane_index() / 4 - bound;
#pragma unroll
    for (int n = 0; n < 2; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const bool counts = past < 8 * (i / 2) - 8 * n - i % 2;
        low[n][i] = counts ? low[n][i] : 0.0f;
        high[2 + n][i] = counts ? high[2 + n][i] : 0.0f;
      }
  }
  // Keeps pairs of one document.
  __device__ __forceinline__ void keep(const Documents<true>& documents) {
    keep_pairs(low, documents, 0, 0);
    keep_pairs(high, documents, 16, 0);
  }
  __device__ __forceinline__ void store(void* tile, const LanePlaces& at, float factor) const {
#pragma unroll
    for (int n = 0; n < 4; ++n)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        char* to = bytes(tile) + ((at.narrow_acc ^ (n * 16)) + 8 * half * 64);
        if (n < 2) *reinterpret_cast<uint32_t*>(to) = pack_half2(low[n][2 * half] * factor, low[n][2 * half + 1] * factor);
        *reinterpret_cast<uint32_t*>(to + 16 * 64) = pack_half2(high[n][2 * half] * factor, high[n][2 * half + 1] * factor);
      }
  }
};

// A triangle of tokens as A operand: lower, [t][s], or upper, the transpose of a stored lower one. `diagonal` are the blocks on the
// diagonal, `other` the one beside it.
struct Triangle {
  uint32_t diagonal[2][4], other[4];

  __device__ __forceinline__ void load(const void* tile, const LanePlaces& at, bool upper) {
    if (upper) {
      narrow_transposed(diagonal[0], tile, at, 0, 0);
      narrow_transposed(diagonal[1], tile, at, 16, 16);
      narrow_transposed(other, tile, at, 16, 0);
    } else {
      narrow(diagonal[0], tile, at, 0, 0);
      narrow(diagonal[1], tile, at, 16, 16);
      narrow(other, tile, at, 16, 0);
    }
  }
  // Two neighbouring tiles of columns: d += triangle * B, of B its first and its last 16 rows.
  __device__ __forceinline__ void multiply_by(float (&d0)[2][4], float (&d1)[2][4], const uint32_t (&first)[4], const uint32_t (&last)[4],
                                              bool upper) const {
    multiply(d0[0], d0[1], diagonal[0], first);
    if (upper) {
      multiply(d0[0], d0[1], other, last);
    } else {
      multiply(d1[0], d1[1], other, first);
    }
    multiply(d1[0], d1[1], diagonal[1], last);
  }
};

}  // namespace rk::cuda::wkv7
