// Reads x and y once, writes y once.
#include "kernels/elementwise/convert.cuh"
#include "kernels/elementwise/op.h"

namespace rk::cuda {
namespace {

template <class X, class Y, int W>
struct AddPacks {
  const X* x;
  Y* y;
  struct Loaded {
    Pack<X, W> x;
    Pack<Y, W> y;
  };
  __device__ Loaded load(int64_t i) const {
    return {*reinterpret_cast<const Pack<X, W>*>(x + i * W), *reinterpret_cast<const Pack<Y, W>*>(y + i * W)};
  }
  __device__ void store(int64_t i, const Loaded& in) const {
    using Wide = std::conditional_t<std::is_same_v<X, double> || std::is_same_v<Y, double>, double, float>;
    Pack<Y, W> out;
#pragma unroll
    for (int j = 0; j < W; ++j) out.x[j] = convert<Y>(convert<Wide>(in.y.x[j]) + convert<Wide>(in.x.x[j]));
    *reinterpret_cast<Pack<Y, W>*>(y + i * W) = out;
  }
};

template <class X, class Y>
void add(const Exec& ex, const X* x, Y* y, int64_t n) {
  constexpr int W = kPairWide<X, Y>;
  const bool wide = aligned(x, sizeof(X) * W) && aligned(y, sizeof(Y) * W);
  const int64_t done = wide ? n / W * W : 0;
  if (wide) for_each_index(ex, done / W, AddPacks<X, Y, W>{x, y});
  if (W > 1) for_each_index(ex, n - done, AddPacks<X, Y, 1>{x + done, y + done});
}

}  // namespace

void run(const Exec& ex, const Add& a) {
  if (ex.dry()) return;
  with_number(a.x.dtype, [&]<class X>() { with_number(a.y.dtype, [&]<class Y>() { add(ex, a.x.as<X>(), a.y.as<Y>(), a.x.numel()); }); });
}

}  // namespace rk::cuda
