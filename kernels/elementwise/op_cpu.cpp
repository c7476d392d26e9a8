#include "kernels/elementwise/op_cpu.h"

#include <cstring>
#include <type_traits>

#include "kernels/common/cpu_parallel.h"
#include "kernels/common/stream_cpu.h"

namespace rk::cpu {
namespace {

template <class X, class Y>
struct CastRange {
  ROOKERY_INLINE static void run(const X* x, Y* y, int64_t n, bool streamed) {
    if (streamed) {
      convert_streamed(x, y, n);
    } else {
      convert(x, y, n);
    }
  }
};

template <class X, class Y>
void cast(const Exec& ex, const Cast& a, Isa isa) {
  const X* x = a.x.as<X>();
  Y* y = a.y.as<Y>();
  const bool streamed = static_cast<int64_t>(a.y.n_bytes()) >= kStreamed;
  for_flat_ranges(ex, a.x.numel(), [&](int64_t begin, int64_t end) {
    if constexpr (std::is_same_v<X, Y>) {
      std::memmove(y + begin, x + begin, static_cast<size_t>(end - begin) * sizeof(X));
    } else {
      run_with<CastRange<X, Y>>(isa, x + begin, y + begin, end - begin, streamed);
      if (streamed) finish_stream();
    }
  });
}

template <class X, class Y>
void add(const Exec& ex, const Add& a) {
  using Wide = std::conditional_t<std::is_same_v<X, double> || std::is_same_v<Y, double>, double, float>;
  const X* x = a.x.as<X>();
  Y* y = a.y.as<Y>();
  for_flat(ex, a.x.numel(), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      put(y, i, static_cast<acc_t<Y>>(static_cast<Wide>(get(y, i)) + static_cast<Wide>(get(x, i))));
    }
  });
}

}  // namespace

void run(const Exec& ex, const Cast& a, Isa isa) {
  with_stored_dtype(a.x.dtype, [&]<class X>() { with_stored_dtype(a.y.dtype, [&]<class Y>() { cast<X, Y>(ex, a, isa); }); });
}

void run(const Exec& ex, const Add& a) {
  with_dtype(a.x.dtype, [&]<class X>() { with_dtype(a.y.dtype, [&]<class Y>() { add<X, Y>(ex, a); }); });
}

void run(const Exec& ex, const Fill& a) {
  with_dtype(a.x.dtype, [&]<class X>() {
    X* x = a.x.as<X>();
    const X value = static_cast<X>(static_cast<acc_t<X>>(a.value));
    for_flat(ex, a.x.numel(), [&](int64_t begin, int64_t end) { std::fill(x + begin, x + end, value); });
  });
}

}  // namespace rk::cpu
