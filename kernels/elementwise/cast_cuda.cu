// Moves each element once in and once out.
#include "kernels/elementwise/convert.cuh"
#include "kernels/elementwise/op.h"

namespace rk::cuda {
namespace {

template <class X, class Y, int W>
struct CastPacks {
  const X* x;
  Y* y;
  using Loaded = Pack<X, W>;
  __device__ Loaded load(int64_t i) const { return *reinterpret_cast<const Loaded*>(x + i * W); }
  __device__ void store(int64_t i, const Loaded& in) const {
    Pack<Y, W> out;
#pragma unroll
    for (int j = 0; j < W; ++j) out.x[j] = convert<Y>(in.x[j]);
    *reinterpret_cast<Pack<Y, W>*>(y + i * W) = out;
  }
};

template <class X, class Y>
void cast(const Exec& ex, const X* x, Y* y, int64_t n) {
  constexpr int W = kPairWide<X, Y>;
  const bool wide = aligned(x, sizeof(X) * W) && aligned(y, sizeof(Y) * W);
  const int64_t done = wide ? n / W * W : 0;
  if (wide) for_each_index(ex, done / W, CastPacks<X, Y, W>{x, y});
  if (W > 1) for_each_index(ex, n - done, CastPacks<X, Y, 1>{x + done, y + done});
}

}  // namespace

void run(const Exec& ex, const Cast& a) {
  if (ex.dry()) return;
  with_number(a.x.dtype, [&]<class X>() { with_number(a.y.dtype, [&]<class Y>() { cast(ex, a.x.as<X>(), a.y.as<Y>(), a.x.numel()); }); });
}

}  // namespace rk::cuda
