#include "kernels/copy_logits/op.h"

#include <type_traits>

#include "kernels/common/cpu_parallel.h"

namespace rk::cpu {
namespace {

// Calls f.operator()<T, U>() for types of a model and its sums.
template <class F>
void with_dtypes(DType t, DType u, const F& f) {
  with_dtype(t, [&]<class T>() {
    with_dtype(u, [&]<class U>() {
      if constexpr (std::is_same_v<acc_t<T>, acc_t<U>>) f.template operator()<T, U>();
    });
  });
}

}  // namespace

void run(const Exec& ex, const CausalScale& a) {
  const int64_t n = a.c.shape[0], T = a.c.shape[1];
  with_dtype(a.c.dtype, [&]<class E>() {
    for_rows(ex, n, T, [&](int64_t t) {
      E* c = a.c.as<E>() + t * T;
      const int64_t end = a.t0 + t + 1;
      const auto scale = static_cast<acc_t<E>>(a.scale);
      for (int64_t s = 0; s < end; ++s) put(c, s, get(c, s) * scale);
      std::fill(c + end, c + T, E(0));
    });
  });
}

void run(const Exec& ex, const CopyLogits& a) {
  const int64_t n = a.c.shape[0], T = a.c.shape[1], V = a.logits.shape[1];
  ArenaScope scope(*ex.scratch);
  // Places of a token form a chain: its next place, T behind the last; at its first place as it is, at others inverted.
  const Tensor links = ex.scratch->take(DType::i32, {T}), places = ex.scratch->take(DType::i32, {V});
  if (ex.dry()) return;
  const auto* ids = a.ids.as<int32_t>();
  auto *link = links.as<int32_t>(), *place = places.as<int32_t>();
  std::fill(place, place + V, static_cast<int32_t>(T));
  for (int64_t s = T - 1; s >= 0; --s) {
    int32_t& next = place[ids[s]];
    link[s] = next;
    if (next < T) link[next] = ~link[next];
    next = static_cast<int32_t>(s);
  }
  with_dtypes(a.c.dtype, a.logits.dtype, [&]<class E, class U>() {
    for_rows(ex, n, T, [&](int64_t t) {
      const E* c = a.c.as<E>() + t * T;
      U* logits = a.logits.as<U>() + t * V;
      const int64_t end = a.t0 + t + 1;
      for (int64_t first = 0; first < end; ++first) {
        if (link[first] < 0) continue;
        acc_t<U> sum = get(logits, ids[first]);
        for (int64_t s = first; s < end; s = link[s] < 0 ? ~link[s] : link[s]) sum += get(c, s);
        put(logits, ids[first], sum);
      }
    });
  });
}

void run(const Exec& ex, const CopyLogitsBackward& a) {
  const int64_t n = a.dc.shape[0], T = a.dc.shape[1], V = a.dlogits.shape[1];
  const auto* ids = a.ids.as<int32_t>();
  with_dtypes(a.dc.dtype, a.dlogits.dtype, [&]<class E, class U>() {
    for_rows(ex, n, T, [&](int64_t t) {
      E* dc = a.dc.as<E>() + t * T;
      const U* dlogits = a.dlogits.as<U>() + t * V;
      const int64_t end = a.t0 + t + 1;
      for (int64_t s = 0; s < end; ++s) put(dc, s, get(dlogits, ids[s]));
      std::fill(dc + end, dc + T, E(0));
    });
  });
}

}  // namespace rk::cpu
