// QR by Cholesky: with G = A^T A = R^T R, Q = A R^-1. All of the work is in matrix products over tiles that are fixed
// whatever the number of threads, with half the operations of Householder reflections. Q's columns lose orthogonality like
// cond(A)^2: little for a tall Gaussian matrix, much for a nearly square one, which is therefore factored in double
// first and, once it is almost orthonormal, a second time (CholeskyQR2; Yamamoto et al. 2015). The rare matrix for which
// double is not enough begins with R^T R = G + shift I (Fukaya et al. 2020).
#include "params/orthogonal.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "device/thread_pool.h"

namespace rk {
namespace {

constexpr int64_t kTile = 128;       // of R
constexpr int64_t kRowBlock = 1024;  // of A in the triangular solve

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

template <class Body>
void each(ThreadPool* pool, int64_t n, const Body& body) {
  const auto piece = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(i);
  };
  if (pool)
    pool->parallel_for(n, 1, piece);
  else
    piece(0, n);
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

// The upper half of a^T a + shift I, a [m,n].
template <class T>
std::vector<T> gram(const T* a, int64_t m, int64_t n, T shift, ThreadPool* pool) {
  std::vector<T> g(static_cast<size_t>(n * n));
  const int64_t tiles = (n + kTile - 1) / kTile;
  each(pool, tiles * (tiles + 1) / 2, [&](int64_t index) {
    const auto [i, j] = upper_tile(index, 0, tiles);
    multiply(Product<T>{std::min(kTile, n - i * kTile), std::min(kTile, n - j * kTile), m, a + i * kTile, a + j * kTile,
                        &g[static_cast<size_t>(i * kTile * n + j * kTile)], n, n, n});
  });
  for (int64_t i = 0; i < n; ++i) g[static_cast<size_t>(i * n + i)] += shift;
  return g;
}

// a [m,n] = a R^-1. False, a unchanged: a pivot of the factorisation is not above `floor`.
template <class T>
struct Pass {
  T* a;
  int64_t m, n;
  T shift = 0, floor = 0;
};
template <class T>
bool run(const Pass<T>& p, ThreadPool* pool) {
  std::vector<T> g = gram(p.a, p.m, p.n, p.shift, pool);
  if (!cholesky(g.data(), p.n, p.floor, pool)) return false;
  each(pool, (p.m + kRowBlock - 1) / kRowBlock, [&](int64_t block) {
    const int64_t row = block * kRowBlock;
    solve(Solve<T>{CblasRight, CblasNoTrans, std::min(kRowBlock, p.m - row), p.n, g.data(), p.a + row * p.n, p.n, p.n});
  });
  return true;
}

// Close enough to orthonormal columns for a last pass in float.
void precondition(std::vector<double>& a, int64_t m, int64_t n, ThreadPool* pool) {
  double squares = 0;
  for (double x : a) squares += x * x;
  Pass<double> pass{a.data(), m, n};
  pass.floor = 1e-12 * squares;
  if (run(pass, pool)) return;
  pass.floor = 0;
  pass.shift = 1e-13 * squares;
  require(run(pass, pool), "a shifted matrix of products is positive");
  pass.shift = 0;
  require(run(pass, pool), "a matrix to be made orthonormal has full rank");
}

}  // namespace

void orthonormalise(std::span<float> a, int64_t rows, int64_t cols, ThreadPool* pool) {
  require(rows >= cols && cols >= 1 && static_cast<int64_t>(a.size()) == rows * cols, "orthonormal columns need as many rows");
  const OneBlasThread guard;
  if (rows < 3 * cols) {
    std::vector<double> wide(a.begin(), a.end());
    precondition(wide, rows, cols, pool);
    std::copy(wide.begin(), wide.end(), a.begin());
  }
  require(run(Pass<float>{a.data(), rows, cols}, pool), "a matrix to be made orthonormal has full rank");
}

}  // namespace rk
