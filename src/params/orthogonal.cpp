// QR by Cholesky: with G = A^T A = R^T R, Q = A R^-1. All of the work is in matrix products over tiles that are fixed
// whatever the number of threads, twice as fast as Householder reflections. Q's columns lose orthogonality like
// cond(A)^2: little for a tall Gaussian matrix, much for a nearly square one, which is therefore factored in double
// first and, once it is almost orthonormal, a second time (CholeskyQR2, Fukaya et al. 2014).
#include "params/orthogonal.h"

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "base/rng.h"
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

// Factors the upper half of one tile of g in place.
template <class T>
void cholesky_tile(T* g, int64_t n, int64_t ld) {
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t k = 0; k < i; ++k)
      for (int64_t j = i; j < n; ++j) g[i * ld + j] -= g[k * ld + i] * g[k * ld + j];
    require(g[i * ld + i] > 0, "a Gaussian matrix has full rank");
    const T scale = 1 / std::sqrt(g[i * ld + i]);
    for (int64_t j = i; j < n; ++j) g[i * ld + j] *= scale;
  }
}

// The upper half of g [n,n] becomes R with R^T R = g.
template <class T>
void cholesky(T* g, int64_t n, ThreadPool* pool) {
  const int64_t tiles = (n + kTile - 1) / kTile;
  const auto width = [&](int64_t t) { return std::min(kTile, n - t * kTile); };
  const auto at = [&](int64_t i, int64_t j) { return g + i * kTile * n + j * kTile; };
  for (int64_t t = 0; t < tiles; ++t) {
    cholesky_tile(at(t, t), width(t), n);
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
}

// a [m,n] becomes the Q of its QR.
template <class T>
void orthonormalise(T* a, int64_t m, int64_t n, ThreadPool* pool) {
  std::vector<T> g(static_cast<size_t>(n * n));
  const int64_t tiles = (n + kTile - 1) / kTile;
  each(pool, tiles * (tiles + 1) / 2, [&](int64_t index) {
    const auto [i, j] = upper_tile(index, 0, tiles);
    multiply(Product<T>{std::min(kTile, n - i * kTile), std::min(kTile, n - j * kTile), m, a + i * kTile, a + j * kTile,
                        &g[static_cast<size_t>(i * kTile * n + j * kTile)], n, n, n});
  });
  cholesky(g.data(), n, pool);
  each(pool, (m + kRowBlock - 1) / kRowBlock, [&](int64_t block) {
    const int64_t row = block * kRowBlock;
    solve(Solve<T>{CblasRight, CblasNoTrans, std::min(kRowBlock, m - row), n, g.data(), a + row * n, n, n});
  });
}

// Four standard normal numbers from sixteen random bytes (Box-Muller).
void four_normals(const std::array<uint32_t, 4>& bits, float* out) {
  for (size_t i = 0; i < 4; i += 2) {
    const float u = (static_cast<float>(bits[i] >> 8) + 0.5f) * 0x1p-24f;  // (0, 1): its logarithm is finite
    const float angle = static_cast<float>(bits[i + 1] >> 8) * (2 * std::numbers::pi_v<float> * 0x1p-24f);
    const float radius = std::sqrt(-2 * std::log(u));
    out[i] = radius * std::cos(angle);
    out[i + 1] = radius * std::sin(angle);
  }
}

std::vector<float> gaussian(const Orthonormal& a, ThreadPool* pool) {
  const int64_t n = a.rows * a.cols, groups = (n + 3) / 4, block = 4096;
  std::vector<float> out(static_cast<size_t>(groups * 4));
  each(pool, (groups + block - 1) / block, [&](int64_t b) {
    for (int64_t g = b * block; g < std::min(groups, (b + 1) * block); ++g)
      four_normals(philox(a.seed, a.stream, static_cast<uint64_t>(g)), &out[static_cast<size_t>(g * 4)]);
  });
  out.resize(static_cast<size_t>(n));
  return out;
}

}  // namespace

std::vector<float> draw(const Orthonormal& a, ThreadPool* pool) {
  require(a.rows >= a.cols && a.cols >= 1, "orthonormal columns need as many rows");
  const OneBlasThread guard;
  std::vector<float> q = gaussian(a, pool);
  if (a.rows < 3 * a.cols) {
    std::vector<double> first(q.begin(), q.end());
    orthonormalise(first.data(), a.rows, a.cols, pool);
    std::copy(first.begin(), first.end(), q.begin());
  }
  orthonormalise(q.data(), a.rows, a.cols, pool);
  return q;
}

}  // namespace rk
