// Sums of squares and additions in front of them, in one pass over memory.
#include <type_traits>

#include "kernels/common/cpu_parallel.h"
#include "kernels/common/stream_cpu.h"
#include "kernels/common/vec.h"
#include "kernels/elementwise/op_cpu.h"

namespace rk::cpu {
namespace {

constexpr int64_t kBlock = 4096;  // elements of a sum
constexpr int kWidth = 4;         // of a vector; wider ones gain nothing here
constexpr int kVectors = 4;       // of running sums

// y = y + x on one block, if x is given. sum = squares of the resulting y, if it is wanted: sixteen running sums that are then added one
// after the other.
template <class X, class Y, bool kAdds, bool kSums>
struct Block {
  static constexpr int64_t kLanes = kWidth * kVectors;

  ROOKERY_INLINE static void run(const X* x, Y* y, int64_t n, double* sum) {
    using Sums = Vec<double, kWidth>;
    Sums sums[kVectors] = {};
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      fetch_ahead<2048>(y + i, kLanes);
      if constexpr (kAdds) fetch_ahead<2048>(x + i, kLanes);
#pragma GCC unroll 4
      for (int k = 0; k < kVectors; ++k) {
        auto value = load_wide<Y, kWidth>(y + i + k * kWidth);
        if constexpr (kAdds) {
          value = value + load_wide<X, kWidth>(x + i + k * kWidth);
          store(y + i + k * kWidth, value);
        }
        if constexpr (kSums) {
          const auto wide = __builtin_convertvector(value, Sums);
          sums[k] = wide * wide + sums[k];
        }
      }
    }
    for (int lane = 0; i < n; ++i, ++lane) {
      if constexpr (kAdds) put(y, i, get(y, i) + get(x, i));
      const auto wide = static_cast<double>(y[i]);
      sums[lane / kWidth][lane % kWidth] = fused(wide, wide, sums[lane / kWidth][lane % kWidth]);
    }
    if constexpr (kSums) {
      double total = 0;
      for (int lane = 0; lane < kLanes; ++lane) total += sums[lane / kWidth][lane % kWidth];
      *sum = total;
    }
  }
};

// x, block_sums and out may be absent.
template <class X, class Y>
void add_squares(const Exec& ex, const AddSquares& a, const Tensor& block_sums, Isa isa) {
  const int64_t n = a.y.numel(), n_blocks = n_square_blocks(n);
  const X* x = maybe<X>(a.x);
  Y* y = a.y.as<Y>();
  double* sums = a.out ? block_sums.as<double>() : nullptr;
  parallel_for(ex, n_blocks, kSmallWork / kBlock, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t begin = i * kBlock, count = std::min(kBlock, n - begin);
      if (x && sums) {
        run_with<Block<X, Y, true, true>>(isa, x + begin, y + begin, count, sums + i);
      } else if (sums) {
        run_with<Block<X, Y, false, true>>(isa, x, y + begin, count, sums + i);
      } else if (x) {
        run_with<Block<X, Y, true, false>>(isa, x + begin, y + begin, count, sums);
      }
    }
  });
  if (!sums) return;
  double total = 0;
  for (int64_t i = 0; i < n_blocks; ++i) total += sums[i];
  *a.out.as<double>() += total;
}

}  // namespace

int64_t n_square_blocks(int64_t n) { return (n + kBlock - 1) / kBlock; }

void run(const Exec& ex, const SumOfSquares& a, const Tensor& block_sums, Isa isa) {
  with_dtype(a.x.dtype, [&]<class X>() { add_squares<X, X>(ex, {.y = a.x, .out = a.out}, block_sums, isa); });
}

void run(const Exec& ex, const SquareBlocks& a, Isa isa) {
  const int64_t n = a.x.numel(), n_blocks = a.out.numel();
  double* out = a.out.as<double>();
  with_dtype(a.x.dtype, [&]<class X>() {
    X* x = a.x.as<X>();
    parallel_for(ex, n_blocks, kSmallWork / kSquareBlock, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        const int64_t begin = i * kSquareBlock;
        run_with<Block<X, X, false, true>>(isa, static_cast<const X*>(nullptr), x + begin, std::min(kSquareBlock, n - begin), out + i);
      }
    });
  });
}

void run(const Exec&, const OrderedSum& a) {
  const double* x = a.x.as<double>();
  double sum = 0;
  for (int64_t i = 0; i < a.x.numel(); ++i) sum += x[i];
  *a.out.as<double>() = sum;
}

void run(const Exec& ex, const AddSquares& a, const Tensor& block_sums, Isa isa) {
  if (a.y.dtype == DType::f64) return add_squares<double, double>(ex, a, block_sums, isa);
  if (a.x && a.x.dtype == DType::bf16) return add_squares<bf16, float>(ex, a, block_sums, isa);
  add_squares<float, float>(ex, a, block_sums, isa);
}

}  // namespace rk::cpu
