// The innermost loops of matrix products: a tile of C held in registers, and the packing that feeds it.
#pragma once
#include "kernels/common/cpu_parallel.h"
#include "kernels/common/vec.h"
#include "kernels/gemm/blocks.h"

namespace rk::cpu {

// Rows of A for one tile: packed [kc][MR], or in place (row i begins at rows[i]).
template <class A>
struct PackedRows {
  const A* p;
  static constexpr int step = MicroTile<A>::MR;
  A at(int i) const { return p[i]; }
  void next() { p += step; }
};
template <class A>
struct RowsInPlace {
  const A* rows[MicroTile<A>::MR];
  int64_t k = 0;
  A at(int i) const { return rows[i][k]; }
  void next() { ++k; }
};

// tile [MR][NV] = sum over kc of a column of A times a row of packed B (rows of NV vectors).
template <class A, int NV, class Rows>
inline void multiply(int64_t kc, Rows a, const A* b, Vec<A> (&tile)[MicroTile<A>::MR][NV]) {
  constexpr int MR = MicroTile<A>::MR, W = MicroTile<A>::W;
  Vec<A> sum[MR][NV] = {};
  for (int64_t k = 0; k < kc; ++k, a.next(), b += NV * W) {
    Vec<A> row[NV];
#pragma GCC unroll 4
    for (int n = 0; n < NV; ++n) row[n] = load<Vec<A>>(b + n * W);
#pragma GCC unroll 8
    for (int m = 0; m < MR; ++m) {
      const Vec<A> x = splat<Vec<A>>(a.at(m));
#pragma GCC unroll 4
      for (int n = 0; n < NV; ++n) sum[m][n] += x * row[n];
    }
  }
  for (int m = 0; m < MR; ++m) {
    for (int n = 0; n < NV; ++n) tile[m][n] = sum[m][n];
  }
}

// Where a tile goes: rows x columns of C, set or added.
template <class A>
struct Target {
  A* c;
  int64_t ldc;
  int rows, columns;
  bool add;
};

template <class A, int NV>
inline void write_tile(const Vec<A> (&tile)[MicroTile<A>::MR][NV], const Target<A>& t) {
  using V = Vec<A>;
  constexpr int MR = MicroTile<A>::MR, W = MicroTile<A>::W;
  if (t.columns == NV * W) {
    for (int m = 0; m < t.rows; ++m) {
      A* c = t.c + m * t.ldc;
      for (int n = 0; n < NV; ++n) store(c + n * W, t.add ? load<V>(c + n * W) + tile[m][n] : tile[m][n]);
    }
    return;
  }
  A edge[MR][NV * W];
  std::memcpy(edge, tile, sizeof edge);
  for (int m = 0; m < t.rows; ++m) {
    A* c = t.c + m * t.ldc;
    for (int n = 0; n < t.columns; ++n) c[n] = t.add ? c[n] + edge[m][n] : edge[m][n];
  }
}

// Columns of one packed sliver of B: a sliver is NR columns wide, the last one as many whole vectors as it needs.
template <class A>
inline int sliver_vectors(int64_t columns_left) {
  constexpr int64_t W = MicroTile<A>::W;
  return static_cast<int>(std::min<int64_t>(MicroTile<A>::NV, (columns_left + W - 1) / W));
}

// Brings a tile of C closer while its products are formed.
template <class A>
inline void prefetch(const Target<A>& t) {
  constexpr int line = 64 / sizeof(A);
  for (int m = 0; m < t.rows; ++m) {
    for (int n = 0; n < t.columns; n += line) __builtin_prefetch(t.c + m * t.ldc + n, 1);
  }
}

template <class A, class Rows>
inline void tile_of(int64_t kc, const Rows& a, const A* b, const Target<A>& t) {
  const auto with_vectors = [&]<int NV>() {
    Vec<A> tile[MicroTile<A>::MR][NV];
    prefetch(t);
    multiply<A, NV>(kc, a, b, tile);
    write_tile<A, NV>(tile, t);
  };
  switch (sliver_vectors<A>(t.columns)) {
    case 1: return with_vectors.template operator()<1>();
    case 2: return with_vectors.template operator()<2>();
    default: return with_vectors.template operator()<3>();
  }
}

// A matrix in memory, read as op(X) [rows, columns].
template <class T>
struct Matrix {
  const T* p;
  int64_t ld;
  bool trans;
  const T* at(int64_t row, int64_t column) const { return p + (trans ? column * ld + row : row * ld + column); }
};

// Slivers of MR rows, one after the other: to [kc][MR] each = rows x kc of op(A) from (row, k); missing rows are zero.
template <class T, class A>
inline void pack_rows(const Matrix<T>& a, int64_t row, int64_t rows, int64_t k, int64_t kc, A* to) {
  constexpr int MR = MicroTile<A>::MR;
  const int64_t whole = rows / MR * MR;
  if (whole < rows) std::fill(to + whole * kc, to + (whole + MR) * kc, A(0));
  if (!a.trans) {
    for (int64_t m = 0; m < rows; m += MR) {
      transpose<T, MR>(a.at(row + m, k), std::min<int64_t>(MR, rows - m), kc, a.ld, to + m * kc, MR);
    }
    return;
  }
  for (int64_t q = 0; q < kc; ++q) {
    const T* from = a.at(row, k + q);
    for (int64_t m = 0; m < whole; m += MR) store(to + m * kc + q * MR, load_wide<T, MR>(from + m));
    for (int64_t m = whole; m < rows; ++m) to[whole * kc + q * MR + m - whole] = get(from, m);
  }
}

// to [kc][width] = kc x columns of op(B) from (k, column); missing columns are zero.
template <class T, class A>
inline void pack_columns(const Matrix<T>& b, int64_t k, int64_t kc, int64_t column, int64_t columns, A* to) {
  constexpr int W = MicroTile<A>::W;
  const int64_t width = sliver_vectors<A>(columns) * W, n = std::min(columns, width);
  if (n < width) std::fill(to, to + kc * width, A(0));
  if (b.trans) return transpose(b.at(k, column), n, kc, b.ld, to, width);
  for (int64_t q = 0; q < kc; ++q, to += width) {
    const T* from = b.at(k + q, column);
    int64_t j = 0;
    for (; j + W <= n; j += W) store(to + j, load_wide(from + j));
    for (; j < n; ++j) to[j] = get(from, j);
  }
}

}  // namespace rk::cpu
