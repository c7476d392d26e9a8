// Our own blocked product: the distribution's OpenBLAS runs its Haswell kernels on processors it does not know (72 GFLOP/s
// on a Sapphire Rapids core where this code measured 110 to 119), and bits would depend on its choice.
#include "kernels/gemm/few_rows_cpu.h"
#include "kernels/gemm/micro_cpu.h"

namespace rk::cpu {
namespace {

// One product through packed panels. T: element type of the factors; A: of the sums.
template <class T>
struct Blocked {
  using A = acc_t<T>;
  using Tile = MicroTile<A>;
  using Blocks = GemmBlocks<A>;
  static constexpr bool kInPlace = std::is_same_v<T, A>;

  const Exec& ex;
  GemmSizes s;
  Matrix<T> a, b;
  Blocks blocks;
  A *packed_b, *packed_a;

  // A part of the product: all rows; columns n0 .. n0 + n; one packed piece of K.
  struct Part {
    int64_t n0, n, k0, k;
    A* c;  // element (0, n0)
    int64_t ldc;
    bool add;
  };

  // Within the packed panel: slices of kc after one another, in each slivers of NR columns.
  A* sliver(const Part& p, int64_t slice, int64_t column) const {
    const int64_t width = Blocks::round_up(p.n, Tile::W);
    return packed_b + slice * Blocks::kc * width + column * slice_length(p, slice);
  }
  static int64_t n_slices(const Part& p) { return (p.k + Blocks::kc - 1) / Blocks::kc; }
  static int64_t slice_length(const Part& p, int64_t slice) { return std::min(Blocks::kc, p.k - slice * Blocks::kc); }

  // One sliver's part of a strip of K.
  void pack_sliver(const Part& p, int64_t column, int64_t k, int64_t n) const {
    const int64_t slice = k / Blocks::kc, width = sliver_vectors<A>(p.n - column) * Tile::W;
    pack_columns<T, A>(b, p.k0 + k, n, p.n0 + column, p.n - column, sliver(p, slice, column) + k % Blocks::kc * width);
  }

  // Rows of the stored B are read whole where they lie along N, and in pieces of kc where they lie along K.
  void pack_b(const Part& p) const {
    constexpr int64_t strip = 16;
    const int64_t slivers = (p.n + Tile::NR - 1) / Tile::NR, strips = (p.k + strip - 1) / strip;
    if (b.trans) {
      parallel_for(ex, slivers * n_slices(p), 1 + kSmallWork / (Tile::NR * Blocks::kc), [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) {
          pack_sliver(p, i % slivers * Tile::NR, i / slivers * Blocks::kc, slice_length(p, i / slivers));
        }
      });
    } else {
      parallel_for(ex, strips, 1 + kSmallWork / (strip * p.n), [&](int64_t first, int64_t last) {
        for (int64_t k = first * strip; k < std::min(p.k, last * strip); k += strip) {
          for (int64_t i = 0; i < slivers; ++i) pack_sliver(p, i * Tile::NR, k, std::min(strip, p.k - k));
        }
      });
    }
  }

  // Rows m0 .. m0 + rows, columns first .. last of the part.
  void block(const Part& p, int64_t m0, int64_t rows, int64_t first, int64_t last, A* pa) const {
    for (int64_t slice = 0; slice < n_slices(p); ++slice) {
      const int64_t kc = slice_length(p, slice), k = p.k0 + slice * Blocks::kc;
      const bool in_place = kInPlace && !a.trans;
      if (!in_place) pack_rows<T, A>(a, m0, rows, k, kc, pa);
      for (int64_t n = first; n < last; n += Tile::NR) {
        for (int64_t m = 0; m < rows; m += Tile::MR) {
          const Target<A> target{p.c + (m0 + m) * p.ldc + n, p.ldc, tile_rows(rows, m),
                                 static_cast<int>(std::min<int64_t>(Tile::NR, p.n - n)), p.add || slice > 0};
          if (in_place) {
            tile_of<A>(kc, rows_in_place(m0 + m, target.rows, k), sliver(p, slice, n), target);
          } else {
            tile_of<A>(kc, PackedRows<A>{pa + m * kc}, sliver(p, slice, n), target);
          }
        }
      }
    }
  }
  static int tile_rows(int64_t rows, int64_t m) { return static_cast<int>(std::min<int64_t>(Tile::MR, rows - m)); }
  RowsInPlace<A> rows_in_place(int64_t row, int rows, int64_t k) const {
    RowsInPlace<A> r;
    if constexpr (kInPlace) {
      for (int i = 0; i < Tile::MR; ++i) r.rows[i] = a.at(row + std::min(i, rows - 1), k);
    }
    return r;
  }

  // Tiles are claimed by threads; with few rows, columns are split too.
  void multiply_part(const Part& p) const {
    pack_b(p);
    const int64_t m_blocks = (s.M + Blocks::mc - 1) / Blocks::mc, slivers = (p.n + Tile::NR - 1) / Tile::NR;
    const int64_t wanted = n_threads(ex) == 1 ? 1 : (4 * n_threads(ex) + m_blocks - 1) / m_blocks;
    const int64_t n_blocks = std::min(slivers, wanted), columns = (slivers + n_blocks - 1) / n_blocks * Tile::NR;
    for_each_claimed(ex, m_blocks * n_blocks, [&](int64_t i, int slot) {
      const int64_t m0 = i / n_blocks * Blocks::mc, first = i % n_blocks * columns;
      block(p, m0, std::min(Blocks::mc, s.M - m0), first, std::min(p.n, first + columns), packed_a + slot * blocks.packed_a());
    });
  }

  // Columns n0 .. n0 + n of the product to c (element (0, n0)).
  void columns(int64_t n0, int64_t n, A* c, int64_t ldc, bool add) const {
    for (int64_t k0 = 0; k0 < s.K; k0 += blocks.kb) multiply_part({n0, n, k0, std::min(blocks.kb, s.K - k0), c, ldc, add || k0 > 0});
  }
};

// Columns from n0 on of C = sums [M,n] + what the product is added to, rounded once.
template <class O>
void finish(const Exec& ex, const Gemm& g, const acc_t<O>* sum, int64_t n0, int64_t n) {
  const Addend<O> add(g);
  for_rows(ex, g.c.shape[0], n, [&](int64_t row) {
    const acc_t<O>* from = sum + row * n;
    const O *base = add.base_at(row, n0), *bias = add.bias_at(n0);
    O* to = g.c.as<O>() + row * add.N + n0;
#pragma omp simd
    for (int64_t j = 0; j < n; ++j) {
      acc_t<O> x = from[j];
      if (base) x = get(base, j) + x;
      if (bias) x += get(bias, j);
      put(to, j, x);
    }
  });
}

// C = what the product is added to, or zero.
template <class O>
void begin(const Exec& ex, const Gemm& g) {
  const Addend<O> add(g);
  for_rows(ex, g.c.shape[0], add.N, [&](int64_t row) {
    const O *base = add.base_at(row, 0), *bias = add.bias_at(0);
    O* to = g.c.as<O>() + row * add.N;
#pragma omp simd
    for (int64_t j = 0; j < add.N; ++j) {
      acc_t<O> x = base ? get(base, j) : acc_t<O>(0);
      if (bias) x += get(bias, j);
      put(to, j, x);
    }
  });
}

template <class T, class O>
void blocked(const Exec& ex, const Gemm& g, const GemmSizes& s, acc_t<T>* scratch) {
  using A = acc_t<T>;
  const GemmBlocks<A> blocks(s, !std::is_same_v<O, A>);
  A* packed_a = scratch + blocks.packed_b();
  A* sum = packed_a + n_threads(ex) * blocks.packed_a();
  const Blocked<T> product{ex,      s,       {g.a.as<T>(), g.a.shape[1], g.trans_a}, {g.b.as<T>(), g.b.shape[1], g.trans_b}, blocks,
                           scratch, packed_a};
  const Addend<O> add(g);
  if (std::is_same_v<O, A> && (add.bias || (add.base && add.base != g.c.as<O>()))) begin<O>(ex, g);
  for (int64_t n0 = 0; n0 < s.N; n0 += blocks.nb) {
    const int64_t n = std::min(blocks.nb, s.N - n0);
    if constexpr (std::is_same_v<O, A>) {
      product.columns(n0, n, g.c.as<A>() + n0, s.N, add.present());
    } else {
      product.columns(n0, n, sum, n, false);
      finish<O>(ex, g, sum, n0, n);
    }
  }
}

template <class T, class O>
void product_of(const Exec& ex, const Gemm& g, const Tensor& scratch) {
  const GemmSizes s(g);
  if (s.K == 0) {
    begin<O>(ex, g);
  } else if (few_rows(g, s)) {
    multiply_few_rows<T, O>(ex, g, s);
  } else {
    blocked<T, O>(ex, g, s, scratch.as<acc_t<T>>());
  }
}

}  // namespace

void run(const Exec& ex, const Gemm& g, const Tensor& scratch) {
  with_dtype(g.a.dtype, [&]<class T>() {
    if (g.c.dtype == g.a.dtype) {
      product_of<T, T>(ex, g, scratch);
    } else {
      product_of<T, acc_t<T>>(ex, g, scratch);
    }
  });
}

}  // namespace rk::cpu
