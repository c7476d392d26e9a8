// Products where one warp owns all 32 tokens of a chunk: fragments of B serve both halves.
#pragma once
#include "kernels/wkv7/chunk.cuh"

namespace rk::cuda::wkv7 {

using Wide = Swizzled<kHead>;      // tiles of 32 or 64 rows of channels
using Narrow = Swizzled<kTokens>;  // tokens x tokens

// Row of acc[m][n][2 * half + e]; its column is acc_column(n, e).
__device__ __forceinline__ int pair_row(int m, int half) { return 16 * m + acc_row(2 * half); }

template <int NT>
__device__ __forceinline__ void clear(float (&d)[2][NT][4]) {
#pragma unroll
  for (int m = 0; m < 2; ++m)
#pragma unroll
    for (int n = 0; n < NT; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) d[m][n][i] = 0;
}
template <int NT>
__device__ __forceinline__ void scale_acc(float (&d)[2][NT][4], float factor) {
  scale_acc(d[0], factor);
  scale_acc(d[1], factor);
}

// Which of the two halves of rows takes part in a product; blocks of a triangle that are zero are left out.
enum class Rows { both, first, second };

// Two tiles of 8 columns, n and n + 1, of one or both halves.
template <Rows ROWS, int NT>
__device__ __forceinline__ void multiply_pair(float (&d)[2][NT][4], int n, const uint32_t (&a)[2][4], const uint32_t (&b)[2][2]) {
  if constexpr (ROWS != Rows::second) {
    mma(d[0][n], a[0], b[0], static_cast<const __half*>(nullptr));
    mma(d[0][n + 1], a[0], b[1], static_cast<const __half*>(nullptr));
  }
  if constexpr (ROWS != Rows::first) {
    mma(d[1][n], a[1], b[0], static_cast<const __half*>(nullptr));
    mma(d[1][n + 1], a[1], b[1], static_cast<const __half*>(nullptr));
  }
}
// d += a B, B[k][n] = tile[row + k][column + n].
template <Rows ROWS = Rows::both, int NT>
__device__ __forceinline__ void multiply_both(float (&d)[2][NT][4], const uint32_t (&a)[2][4], const __half* tile, int row, int column) {
#pragma unroll
  for (int n = 0; n < NT; n += 2) {
    uint32_t b[2][2];
    b_of<Wide>(b, tile, row, column + n * 8);
    multiply_pair<ROWS>(d, n, a, b);
  }
}
// The same with B[k][n] = tile[row + n][column + k].
template <Rows ROWS = Rows::both, int NT>
__device__ __forceinline__ void multiply_both_transpose(float (&d)[2][NT][4], const uint32_t (&a)[2][4], const __half* tile, int row,
                                                        int column) {
#pragma unroll
  for (int n = 0; n < NT; n += 2) {
    uint32_t b[2][2];
    b_of_transpose<Wide>(b, tile, row + n * 8, column);
    multiply_pair<ROWS>(d, n, a, b);
  }
}

// A tile of 32 tokens as A operands [channels / 16][half].
struct TokenRows {
  uint32_t a[4][2][4];
  __device__ __forceinline__ void load(const __half* tile) {
#pragma unroll
    for (int k = 0; k < 4; ++k)
#pragma unroll
      for (int m = 0; m < 2; ++m) a_of<Wide>(a[k][m], tile, 16 * m, 16 * k);
  }
};

// What of a product of tokens (rows) with tokens (columns) counts.
enum class Keep { to_row, before_row, from_row };

// d = x yT of two tiles of 32 tokens; zero where it does not count.
template <Keep KEEP>
__device__ __forceinline__ void token_product(float (&d)[2][4][4], const TokenRows& x, const __half* y) {
  constexpr bool upper = KEEP == Keep::from_row;
  clear(d);
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    uint32_t b[2][2];
    b_of_transpose<Wide>(b, y, 0, 16 * k);
    multiply_pair<upper ? Rows::first : Rows::both>(d, 0, x.a[k], b);
    b_of_transpose<Wide>(b, y, 16, 16 * k);
    multiply_pair<upper ? Rows::both : Rows::second>(d, 2, x.a[k], b);
  }
#pragma unroll
  for (int m = 0; m < 2; ++m)
#pragma unroll
    for (int n = 0; n < 4; ++n)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int row = pair_row(m, i / 2), column = acc_column(n, i);
        const bool counts = KEEP == Keep::to_row ? column <= row : KEEP == Keep::before_row ? column < row : column >= row;
        if (!counts) d[m][n][i] = 0;  // a select: what is dropped may be huge
      }
}
template <Keep KEEP>
__device__ __forceinline__ void token_product(float (&d)[2][4][4], const __half* x, const __half* y) {
  TokenRows rows;
  rows.load(x);
  token_product<KEEP>(d, rows, y);
}

// The blocks on and below the diagonal, times `factor`.
__device__ __forceinline__ void store_lower(__half* tile, const float (&d)[2][4][4], float factor) {
  const float(&first)[2][4] = reinterpret_cast<const float(&)[2][4]>(d[0]);
  store_acc<Narrow>(tile, 0, 0, first, factor);
  store_acc<Narrow>(tile, 16, 0, d[1], factor);
}

// d += x B with a triangular x in a Narrow tile: lower as it is stored, or upper, its transpose. B[k][n] = tile[k][column + n].
template <bool TRANSPOSED, int NT>
__device__ __forceinline__ void multiply_triangle(float (&d)[2][NT][4], const __half* x, const __half* tile, int column) {
  uint32_t a[2][4];
  if constexpr (TRANSPOSED) {
    a_of_transpose<Narrow>(a[0], x, 0, 0);
    multiply_both<Rows::first>(d, a, tile, 0, column);
    a_of_transpose<Narrow>(a[0], x, 16, 0);
    a_of_transpose<Narrow>(a[1], x, 16, 16);
    multiply_both(d, a, tile, 16, column);
  } else {
    a_of<Narrow>(a[0], x, 0, 0);
    a_of<Narrow>(a[1], x, 16, 0);
    multiply_both(d, a, tile, 0, column);
    a_of<Narrow>(a[1], x, 16, 16);
    multiply_both<Rows::second>(d, a, tile, 16, column);
  }
}

// The two numbers of a Wide tile where an accumulator has d[n][2 * half], d[n][2 * half + 1].
__device__ __forceinline__ float2 pair_at(const __half* tile, int row, int column) {
  const Pack<__half, 2> p = *reinterpret_cast<const Pack<__half, 2>*>(tile + Wide::at(row, column));
  return {to_float(p.x[0]), to_float(p.x[1])};
}

}  // namespace rk::cuda::wkv7
