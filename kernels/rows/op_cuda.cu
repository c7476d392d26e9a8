// SumRows: a thread owns W columns of a strip of rows; one strip adds to y at once, several leave partial sums. Reads x once.
// RepeatRows: writes y once.
#include "kernels/common/flat.cuh"
#include "kernels/common/partials.cuh"
#include "kernels/rows/op.h"

namespace rk::cuda {
namespace {

constexpr int kThreads = 128, kColumns = 4;
constexpr int64_t kStrip = 64;

// sums [strips, n], or y where there is one strip.
template <class T, int W>
__global__ void __launch_bounds__(kThreads) sum_rows(const T* x, float* sums, int64_t R, int64_t n, bool add) {
  const int64_t j = (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * W;
  if (j >= n) return;
  const int64_t first = static_cast<int64_t>(blockIdx.y) * kStrip, last = min(R, first + kStrip);
  float sum[W] = {};
#pragma unroll 8
  for (int64_t row = first; row < last; ++row) {
    float in[W];
    load(x + row * n + j, in);
#pragma unroll
    for (int i = 0; i < W; ++i) sum[i] += in[i];
  }
  float* const to = sums + static_cast<int64_t>(blockIdx.y) * n + j;
  if (add) {
    float before[W];
    load(to, before);
#pragma unroll
    for (int i = 0; i < W; ++i) sum[i] += before[i];
  }
  store(to, sum);
}

template <class X, class Y, int W>
struct Repeat {
  const X* x;
  Y* y;
  int64_t packs;  // of a row
  using Loaded = Pack<X, W>;
  __device__ Loaded load(int64_t i) const { return load_pack<W>(x + i % packs * W); }
  __device__ void store(int64_t i, const Loaded& in) const {
    float out[W];
    to_floats(in, out);
    cuda::store(y + i * W, out);
  }
};

bool in_fours(int64_t n, const Tensor& x, const Tensor& y) { return n % kColumns == 0 && aligned(x.data, 16) && aligned(y.data, 16); }

}  // namespace

void run(const Exec& ex, const SumRows& a) {
  const int64_t n = a.y.numel(), R = a.x.numel() / n, n_strips = ceil_div(R, kStrip);
  ArenaScope scope(*ex.scratch);
  const Tensor partial = n_strips > 1 ? ex.scratch->take(DType::f32, {n_strips, n}) : a.y;
  if (ex.dry()) return;
  with_dtype(a.x.dtype, [&]<class T>() {
    const bool wide = in_fours(n, a.x, a.y);
    const dim3 grid(static_cast<unsigned>(ceil_div(n, kThreads * (wide ? kColumns : 1))), static_cast<unsigned>(n_strips));
    auto* const kernel = wide ? sum_rows<T, kColumns> : sum_rows<T, 1>;
    launch(ex, kernel, {.grid = grid, .block = kThreads}, a.x.as<T>(), partial.as<float>(), R, n, n_strips == 1);
  });
  if (n_strips > 1) add_partials(ex, partial.as<float>(), static_cast<int>(n_strips), 1, n, {.to = {a.y.as<float>()}});
}

void run(const Exec& ex, const RepeatRows& a) {
  if (ex.dry()) return;
  const int64_t n = a.x.numel();
  with_dtype(a.x.dtype, [&]<class X>() {
    with_dtype(a.y.dtype, [&]<class Y>() {
      const X* x = a.x.as<X>();
      Y* y = a.y.as<Y>();
      if (in_fours(n, a.x, a.y)) {
        for_each_index(ex, a.y.numel() / kColumns, Repeat<X, Y, kColumns>{x, y, n / kColumns});
      } else {
        for_each_index(ex, a.y.numel(), Repeat<X, Y, 1>{x, y, n});
      }
    });
  });
}

}  // namespace rk::cuda
