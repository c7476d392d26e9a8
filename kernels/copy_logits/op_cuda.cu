#include <type_traits>

#include "kernels/common/numbers.cuh"
#include "kernels/copy_logits/op.h"

namespace rk::cuda {
namespace {

constexpr int kThreads = 256;

// Calls f.operator()<T, U>() for types of a model and its sums.
template <class F>
void with_dtypes(DType t, DType u, const F& f) {
  with_dtype(t, [&]<class T>() {
    with_dtype(u, [&]<class U>() {
      if constexpr (std::is_same_v<T, U> || std::is_same_v<T, float> || std::is_same_v<U, float>) f.template operator()<T, U>();
    });
  });
}

// op(t, s) for the pairs of n rows and T tokens.
template <class Op>
__global__ void __launch_bounds__(kThreads) each_pair(int T, int blocks_of_row, Op op) {
  const int s = static_cast<int>(blockIdx.x) % blocks_of_row * kThreads + static_cast<int>(threadIdx.x);
  if (s < T) op(static_cast<int64_t>(blockIdx.x) / blocks_of_row, s);
}
template <class Op>
void for_each_pair(const Exec& ex, const Tensor& c, const Op& op) {
  const int64_t n = c.shape[0], T = c.shape[1], blocks_of_row = ceil_div(T, kThreads);
  launch(ex, each_pair<Op>, {.grid = dim3(static_cast<unsigned>(n * blocks_of_row)), .block = dim3(kThreads)}, static_cast<int>(T),
         static_cast<int>(blocks_of_row), op);
}

template <class E>
struct Scale {
  E* c;
  int64_t T, t0;
  float scale;
  __device__ void operator()(int64_t t, int s) const {
    E& x = c[t * T + s];
    x = from_float<E>(s <= t0 + t ? to_float(x) * scale : 0.0f);
  }
};

// Places of a token form a chain: its next place, T behind the last; at its first place as it is, at others inverted. Every thread looks
// through all ids for those of its token.
__global__ void __launch_bounds__(kThreads) find_links(const int* ids, int T, int* link) {
  __shared__ int others[kThreads];
  const int s = static_cast<int>(blockIdx.x) * kThreads + static_cast<int>(threadIdx.x), own = s < T ? ids[s] : 0;
  int next = T;
  bool is_first = true;
  for (int from = 0; from < T; from += kThreads) {
    __syncthreads();
    if (from + static_cast<int>(threadIdx.x) < T) others[threadIdx.x] = ids[from + static_cast<int>(threadIdx.x)];
    __syncthreads();
    const int n = min(kThreads, T - from);
    for (int i = 0; i < n; ++i) {
      if (others[i] != own) continue;
      if (from + i < s) is_first = false;
      if (from + i > s) next = min(next, from + i);
    }
  }
  if (s < T) link[s] = is_first ? next : ~next;
}

// The thread of a token's first place adds up all of them.
template <class E, class U>
struct Add {
  const E* c;
  const int *ids, *link;
  U* logits;
  int64_t T, V, t0;
  __device__ void operator()(int64_t t, int first) const {
    if (first > t0 + t || link[first] < 0) return;
    U& logit = logits[t * V + ids[first]];
    float sum = to_float(logit);
    for (int s = first; s <= t0 + t; s = link[s] < 0 ? ~link[s] : link[s]) sum += to_float(c[t * T + s]);
    logit = from_float<U>(sum);
  }
};

template <class E, class U>
struct Gather {
  E* dc;
  const int* ids;
  const U* dlogits;
  int64_t T, V, t0;
  __device__ void operator()(int64_t t, int s) const {
    dc[t * T + s] = from_float<E>(s <= t0 + t ? to_float(dlogits[t * V + ids[s]]) : 0.0f);
  }
};

}  // namespace

void run(const Exec& ex, const CausalScale& a) {
  with_dtype(a.c.dtype, [&]<class E>() { for_each_pair(ex, a.c, Scale<E>{a.c.as<E>(), a.c.shape[1], a.t0, static_cast<float>(a.scale)}); });
}

void run(const Exec& ex, const CopyLogits& a) {
  const int64_t T = a.c.shape[1];
  ArenaScope scope(*ex.scratch);
  const Tensor links = ex.scratch->take(DType::i32, {T});
  if (ex.dry()) return;
  const auto* ids = a.ids.as<int32_t>();
  launch(ex, find_links, {.grid = dim3(static_cast<unsigned>(ceil_div(T, kThreads))), .block = dim3(kThreads)}, ids, static_cast<int>(T),
         links.as<int32_t>());
  with_dtypes(a.c.dtype, a.logits.dtype, [&]<class E, class U>() {
    for_each_pair(ex, a.c, Add<E, U>{a.c.as<E>(), ids, links.as<int32_t>(), a.logits.as<U>(), T, a.logits.shape[1], a.t0});
  });
}

void run(const Exec& ex, const CopyLogitsBackward& a) {
  with_dtypes(a.dc.dtype, a.dlogits.dtype, [&]<class E, class U>() {
    for_each_pair(ex, a.dc, Gather<E, U>{a.dc.as<E>(), a.ids.as<int32_t>(), a.dlogits.as<U>(), a.dc.shape[1], a.dlogits.shape[1], a.t0});
  });
}

}  // namespace rk::cuda
