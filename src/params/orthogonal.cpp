// QR by Cholesky: with G = A^T A = R^T R, Q = A R^-1. All of the work is in matrix products over tiles that are fixed
// whatever the number of threads, with half the operations of Householder reflections. Q's columns lose orthogonality like
// cond(A)^2: little for a tall Gaussian matrix, much for a nearly square one, which is therefore factored in double
// first and, once it is almost orthonormal, a second time (CholeskyQR2; Yamamoto et al. 2015). The rare matrix for which
// double is not enough begins with R^T R = G + shift I (Fukaya et al. 2020).
#include "params/orthogonal.h"

#include <cblas.h>

#include <algorithm>
#include <atomic>
#include <cmath>

#include "base/error.h"
#include "device/thread_pool.h"

namespace rk {
namespace {

constexpr int64_t kTile = 128;  // of R

// Side of the tiles of A^T A. Larger ones cost BLAS less packing, smaller ones leave work for all threads.
int64_t gram_tile(int64_t n) { return n >= 3072 ? 256 : 128; }
// Rows of A that one triangular solve takes: sixteen parts of a matrix, as long as they are worth a call.
int64_t row_block(int64_t m) { return std::clamp<int64_t>((m / 16 + 63) / 64 * 64, 64, 1024); }

// Every BLAS call here belongs to one thread of our pool.
class OneBlasThread {
 public:
  OneBlasThread() : before_(openblas_get_num_threads()) { openblas_set_num_threads(1); }
  OneBlasThread(const OneBlasThread&) = delete;
  OneBlasThread& operator=(const OneBlasThread&) = delete;
  ~OneBlasThread() { openblas_set_num_threads(before_); }

 private:
  int before_;
};

constexpr int64_t kMostThreads = 64;  // OpenBLAS as distributions build it has memory for so many callers at a time

// body(0), ..., body(n - 1), each by the next thread that has nothing to do.
template <class Body>
void each(ThreadPool* pool, int64_t n, const Body& body) {
  std::atomic<int64_t> next = 0;
  const auto work = [&](int64_t, int64_t) {
    for (int64_t i = next++; i < n; i = next++) body(i);
  };
  pool ? pool->parallel_for(std::min({n, int64_t{pool->size()}, kMostThreads}), 1, work) : work(0, 1);
}

// c [m,n] (ldc) = beta c + alpha a^T b,  a [k,m] (lda), b [k,n] (ldb)
template <class T>
struct Product {
  int64_t m, n, k;
  const T *a, *b;
  T* c;
  int64_t lda, ldb, ldc;
  T alpha = 1, beta = 0;
};
int to_int(int64_t n) { return static_cast<int>(n); }
void multiply(const Product<float>& p) {
  cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, to_int(p.m), to_int(p.n), to_int(p.k), p.alpha, p.a, to_int(p.lda), p.b,
              to_int(p.ldb), p.beta, p.c, to_int(p.ldc));
}
void multiply(const Product<double>& p) {
  cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, to_int(p.m), to_int(p.n), to_int(p.k), p.alpha, p.a, to_int(p.lda), p.b,
              to_int(p.ldb), p.beta, p.c, to_int(p.ldc));
}

// b [m,n] = op(r)^-1 b (left) or b op(r)^-1 (right), r upper triangular.
template <class T>
struct Solve {
  CBLAS_SIDE side;
  CBLAS_TRANSPOSE op;
  int64_t m, n;
  const T* r;
  T* b;
  int64_t ldr, ldb;
};
void solve(const Solve<float>& s) {
  cblas_strsm(CblasRowMajor, s.side, CblasUpper, s.op, CblasNonUnit, to_int(s.m), to_int(s.n), 1, s.r, to_int(s.ldr), s.b, to_int(s.ldb));
}
void solve(const Solve<double>& s) {
  cblas_dtrsm(CblasRowMajor, s.side, CblasUpper, s.op, CblasNonUnit, to_int(s.m), to_int(s.n), 1, s.r, to_int(s.ldr), s.b, to_int(s.ldb));
}

// Upper tile number `index` of n tiles a side, row by row.
std::pair<int64_t, int64_t> upper_tile(int64_t index, int64_t first, int64_t n) {
  int64_t row = first;
  while (index >= n - row) index -= n - row++;
  return {row, row + index};
}

// Factors the upper half of one tile of g in place. False: a pivot is not above `floor`.
template <class T>
bool cholesky_tile(T* g, int64_t n, int64_t ld, T floor) {
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t k = 0; k < i; ++k)
      for (int64_t j = i; j < n; ++j) g[i * ld + j] -= g[k * ld + i] * g[k * ld + j];
    if (!(g[i * ld + i] > floor)) return false;
    const T scale = 1 / std::sqrt(g[i * ld + i]);
    for (int64_t j = i; j < n; ++j) g[i * ld + j] *= scale;
  }
  return true;
}

// The upper half of g [n,n] becomes R with R^T R = g. False: a pivot is not above `floor`.
template <class T>
bool cholesky(T* g, int64_t n, T floor, ThreadPool* pool) {
  const int64_t tiles = (n + kTile - 1) / kTile;
  const auto width = [&](int64_t t) { return std::min(kTile, n - t * kTile); };
  const auto at = [&](int64_t i, int64_t j) { return g + i * kTile * n + j * kTile; };
  for (int64_t t = 0; t < tiles; ++t) {
    if (!cholesky_tile(at(t, t), width(t), n, floor)) return false;
    const int64_t rest = tiles - t - 1;
    each(pool, rest, [&](int64_t i) {
      const int64_t j = t + 1 + i;
      solve(Solve<T>{CblasLeft, CblasTrans, width(t), width(j), at(t, t), at(t, j), n, n});
    });
    each(pool, rest * (rest + 1) / 2, [&](int64_t index) {
      const auto [i, j] = upper_tile(index, t + 1, tiles);
      multiply(Product<T>{width(i), width(j), width(t), at(t, i), at(t, j), at(i, j), n, n, n, -1, 1});
    });
  }
  return true;
}

// The upper half of g [n,n] becomes that of a^T a,  a [m,n].
template <class T>
void gram(const T* a, int64_t m, int64_t n, T* g, ThreadPool* pool) {
  const int64_t tile = gram_tile(n), tiles = (n + tile - 1) / tile;
  each(pool, tiles * (tiles + 1) / 2, [&](int64_t index) {
    const auto [row, col] = upper_tile(index, 0, tiles);
    const int64_t i = row * tile, j = col * tile;
    multiply(Product<T>{std::min(tile, n - i), std::min(tile, n - j), m, a + i, a + j, g + i * n + j, n, n, n});
  });
}

// a [m,n] = a R^-1. False, a unchanged: a pivot of the factorisation is not above its floor. Floor and shift are parts of the trace of a^T
// a.
template <class T>
struct Pass {
  T* a;
  int64_t m, n;
  T* g;  // [n,n]
  T shift = 0, floor = 0;
};
template <class T>
bool run(const Pass<T>& p, ThreadPool* pool) {
  gram(p.a, p.m, p.n, p.g, pool);
  T trace = 0;
  for (int64_t i = 0; i < p.n; ++i) trace += p.g[i * p.n + i];
  if (p.shift > 0)
    for (int64_t i = 0; i < p.n; ++i) p.g[i * p.n + i] += p.shift * trace;
  if (!cholesky(p.g, p.n, p.floor * trace, pool)) return false;
  const int64_t rows = row_block(p.m);
  each(pool, (p.m + rows - 1) / rows, [&](int64_t block) {
    const int64_t row = block * rows;
    solve(Solve<T>{CblasRight, CblasNoTrans, std::min(rows, p.m - row), p.n, p.g, p.a + row * p.n, p.n, p.n});
  });
  return true;
}

// Close enough to orthonormal columns for a last pass in float.
void precondition(Pass<double> pass, ThreadPool* pool) {
  pass.floor = 1e-12;
  if (run(pass, pool)) return;
  pass.floor = 0;
  pass.shift = 1e-13;
  require(run(pass, pool), "a shifted matrix of products is positive");
  pass.shift = 0;
  require(run(pass, pool), "a matrix to be made orthonormal has full rank");
}

template <class From, class To>
void convert(std::span<const From> from, std::span<To> to, ThreadPool* pool) {
  const auto part = [&](int64_t begin, int64_t end) { std::copy(from.begin() + begin, from.begin() + end, to.begin() + begin); };
  const auto n = static_cast<int64_t>(from.size());
  pool ? pool->parallel_for(n, 1 << 14, part) : part(0, n);
}

}  // namespace

void orthonormalise(std::span<float> a, int64_t rows, int64_t cols, ThreadPool* pool, OrthogonalMemory& memory) {
  require(rows >= cols && cols >= 1 && static_cast<int64_t>(a.size()) == rows * cols, "orthonormal columns need as many rows");
  const OneBlasThread guard;
  const auto n_gram = static_cast<size_t>(cols * cols);
  if (rows < 3 * cols) {
    const std::span<double> wide = memory.wide.take(a.size());
    convert<float, double>(a, wide, pool);
    precondition({wide.data(), rows, cols, memory.wide_gram.take(n_gram).data()}, pool);
    convert<double, float>(wide, a, pool);
  }
  require(run(Pass<float>{a.data(), rows, cols, memory.gram.take(n_gram).data()}, pool), "a matrix to be made orthonormal has full rank");
}

}  // namespace rk
