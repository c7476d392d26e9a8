// Tiles of 16-bit numbers and the operands that tensor cores take from them. Accumulators d[n] are 16 x 8 tiles: a lane holds rows g, g + 8
// (g = lane / 4) and columns 2 (lane % 4), + 1 of each.
#pragma once
#include <type_traits>

#include "kernels/common/mma.cuh"

namespace rk::cuda {

__device__ __forceinline__ int warp_index() { return static_cast<int>(threadIdx.x) / 32; }
__device__ __forceinline__ int lane_index() { return static_cast<int>(threadIdx.x) % 32; }

// Rows of COLUMNS numbers; the 16-byte pieces of a row are permuted so that neither rows nor columns of 8 x 8 matrices collide in banks.
template <int COLUMNS>
struct Swizzled {
  static_assert(COLUMNS == 64 || COLUMNS == 32);
  __device__ static __forceinline__ int turn(int row) { return (COLUMNS == 64 ? row % 8 : row / 2 % 4) * 8; }
  __device__ static __forceinline__ int at(int row, int column) { return row * COLUMNS + (column ^ turn(row)); }
  // Byte of (row + lane_row, column + lane_column), so written that the lane's part is found once for all of a tile: row is a multiple of
  // 8, column of a power of two above lane_column.
  __device__ static __forceinline__ int byte_at(int row, int column, int lane_row, int lane_column) {
    return 2 * row * COLUMNS + ((2 * (lane_row * COLUMNS + (lane_column ^ turn(lane_row)))) ^ (2 * column));
  }
};
// As in memory.
struct Blocked {
  __device__ static __forceinline__ int byte_at(int row, int column, int lane_row, int lane_column) {
    return 2 * (row * 64 + column * 8) + 2 * (lane_row / 8 * (8 * 64) + lane_row % 8 * 8 + lane_column / 8 * 64 + lane_column % 8);
  }
};
template <class L, class T>
__device__ __forceinline__ T* place(T* tile, int row, int column, int lane_row, int lane_column) {
  using Byte = std::conditional_t<std::is_const_v<T>, const char, char>;
  return reinterpret_cast<T*>(reinterpret_cast<Byte*>(tile) + L::byte_at(row, column, lane_row, lane_column));
}

// Fragments by ldmatrix; L is the tile's layout, (row, column) the corner in the tile, multiples of 16. A is 16 x 16; B is 16 (k) x 16 (n):
// b[0] for the first eight columns n, b[1] for the others.
// A = tile[row.., column..].
template <class L, class E>
__device__ __forceinline__ void a_of(uint32_t (&a)[4], const E* tile, int row, int column) {
  const int l = lane_index();
  load_matrices(a, place<L>(tile, row, column, l % 16, l / 16 * 8));
}
// A = transpose of tile[row.., column..]: A[m][k] = tile[row + k][column + m].
template <class L, class E>
__device__ __forceinline__ void a_of_transpose(uint32_t (&a)[4], const E* tile, int row, int column) {
  const int l = lane_index();
  load_matrices_transposed(a, place<L>(tile, row, column, l % 8 + l / 16 * 8, l / 8 % 2 * 8));
}
// B[k][n] = tile[row + k][column + n].
template <class L, class E>
__device__ __forceinline__ void b_of(uint32_t (&b)[2][2], const E* tile, int row, int column) {
  const int l = lane_index();
  uint32_t r[4];
  load_matrices_transposed(r, place<L>(tile, row, column, l % 16, l / 16 * 8));
  b[0][0] = r[0], b[0][1] = r[1], b[1][0] = r[2], b[1][1] = r[3];
}
// B[k][n] = tile[row + n][column + k].
template <class L, class E>
__device__ __forceinline__ void b_of_transpose(uint32_t (&b)[2][2], const E* tile, int row, int column) {
  const int l = lane_index();
  uint32_t r[4];
  load_matrices(r, place<L>(tile, row, column, l % 8 + l / 16 * 8, l / 8 % 2 * 8));
  b[0][0] = r[0], b[0][1] = r[1], b[1][0] = r[2], b[1][1] = r[3];
}

__device__ __forceinline__ int acc_row(int e) { return lane_index() / 4 + e / 2 * 8; }
__device__ __forceinline__ int acc_column(int n, int e) { return n * 8 + lane_index() % 4 * 2 + e % 2; }
// Element e (even) and the next of d[n], two 16-bit numbers, in a tile whose corner (row, column) holds the accumulators' first.
template <class L, class E>
__device__ __forceinline__ uint32_t* acc_pair(E* tile, int row, int column, int n, int e) {
  return reinterpret_cast<uint32_t*>(place<L>(tile, row + e / 2 * 8, column + n * 8, lane_index() / 4, lane_index() % 4 * 2));
}
template <class L, class E>
__device__ __forceinline__ uint32_t acc_pair(const E* tile, int row, int column, int n, int e) {
  return *reinterpret_cast<const uint32_t*>(place<L>(tile, row + e / 2 * 8, column + n * 8, lane_index() / 4, lane_index() % 4 * 2));
}

}  // namespace rk::cuda
