#include "kernels/rwkv7_prepare/op.h"

#include "kernels/common/partials.cuh"
#include "kernels/common/row_queue.cuh"

namespace rk::cuda {
namespace {

constexpr int kW = kLaneChannels;
constexpr float kSquaredFloor = 1e-24f;  // of a head's norm

// 1 / max(sqrt(squares), floor); NaN stays.
__device__ __forceinline__ float inverse_norm(float squares) { return squares <= kSquaredFloor ? 1e12f : rsqrtf(squares); }

template <class T>
struct Forward {
  const T *k0, *w_lora, *a_lora, *v0_in, *v_lora, *v_first, *w0, *a0, *v0, *k_k, *k_a;
  T *w, *k, *a, *b, *v;
};

template <class T, int LANES>
__device__ void keys(const Forward<T>& p, const HeadRows& s) {
  const HeadPlace<LANES> place(s);
  const int c = place.channel();
  const Lane<T> a0(p.a0 + c), k_k(p.k_k + c), k_a(p.k_a + c);
  for (int row = place.first_row(); row < place.last_row(); row += kHeadWarps) {
    const int64_t at = place.at(row);
    const Lane<T> key(p.k0 + at), pre(p.a_lora + at);
    float squares = 0;
#pragma unroll
    for (int i = 0; i < kW; ++i) squares += key[i] * k_k[i] * (key[i] * k_k[i]);
    const float inverse = inverse_norm(place.head_sum(squares));
    float k[kW], a[kW], b[kW];
#pragma unroll
    for (int i = 0; i < kW; ++i) {
      const float alpha = sigmoid(a0[i] + pre[i]), kappa = key[i] * k_k[i] * inverse;
      k[i] = key[i] * (1.0f + (alpha - 1.0f) * k_a[i]);
      a[i] = -kappa;
      b[i] = kappa * alpha;
    }
    if (!place.inside()) continue;
    store_lane(p.k + at, k);
    store_lane(p.a + at, a);
    store_lane(p.b + at, b);
    if (p.w) {
      const Lane<T> w_lora(p.w_lora + at), w0(p.w0 + c);
      float w[kW];
#pragma unroll
      for (int i = 0; i < kW; ++i) w[i] = w0[i] + w_lora[i];
      store_lane(p.w + at, w);
    }
  }
}

template <class T, int LANES>
__device__ void values(const Forward<T>& p, const HeadRows& s) {
  const HeadPlace<LANES> place(s);
  if (!place.inside()) return;
  const int c = place.channel();
  const Lane<T> v0(p.v0 + c);
  for (int row = place.first_row(); row < place.last_row(); row += kHeadWarps) {
    const int64_t at = place.at(row);
    const Lane<T> own(p.v0_in + at), pre(p.v_lora + at), first(p.v_first + at);
    float v[kW];
#pragma unroll
    for (int i = 0; i < kW; ++i) v[i] = own[i] + (first[i] - own[i]) * sigmoid(v0[i] + pre[i]);
    store_lane(p.v + at, v);
  }
}

// What follows from keys and what follows from values have nothing in common: each is a plane of the grid.
// Elements moved per channel: k0, a_lora, k, a, b (5), w_lora and w where wanted (2), v0_in, v_lora, v_first, v behind layer 0 (4).
template <class T, int LANES>
__global__ __launch_bounds__(kHeadThreads, sizeof(T) == 4 ? 3 : 4) void forward(Forward<T> p, HeadRows s) {
  if (blockIdx.z == 0) {
    keys<T, LANES>(p, s);
  } else {
    values<T, LANES>(p, s);
  }
}

template <class T>
struct Backward {
  const T *k0, *a_lora, *v0_in, *v_lora, *v_first, *a0, *v0, *k_k, *k_a, *dw, *dk, *da, *db, *dv;
  T *dw_lora, *da_lora, *dk0, *dv0_in, *dv_lora;
  float *dv_first, *partial;
};
enum Sum { kDa0, kDk_k, kDk_a, kDv0, kDw0, kSums };

template <class T>
using Queue = RowQueue<5 * kLaneParts<T> + kLaneParts<float>, sizeof(T) == 2 ? 3 : 1>;

template <class T, int LANES>
__device__ void keys(const Backward<T>& p, const HeadRows& s) {
  const HeadPlace<LANES> place(s);
  const int c = place.channel();
  const Lane<T> a0(p.a0 + c), k_k(p.k_k + c), k_a(p.k_a + c);
  float sums[3][kW] = {};
  Queue<T> queue;
  const auto ask = [&](int row) {
    const T* from[] = {p.k0, p.a_lora, p.dk, p.da, p.db};
#pragma unroll
    for (int i = 0; i < 5; ++i) queue.fetch(i * kLaneParts<T>, from[i] + place.at(row));
  };
  queue.each(place, ask, [&](int row) {
    constexpr int n = kLaneParts<T>;
    const Lane<T> key = queue.template take<T>(0), a_lora = queue.template take<T>(n), dk = queue.template take<T>(2 * n);
    const Lane<T> da = queue.template take<T>(3 * n), db = queue.template take<T>(4 * n);
    float alpha[kW], dkappa[kW], squares = 0, along = 0;
#pragma unroll
    for (int i = 0; i < kW; ++i) {
      const float u = key[i] * k_k[i];
      alpha[i] = sigmoid(a0[i] + a_lora[i]);
      dkappa[i] = db[i] * alpha[i] - da[i];
      squares += u * u;
      along += u * dkappa[i];
    }
    squares = place.head_sum(squares);
    along = place.head_sum(along);
    const float inverse = inverse_norm(squares);
    along = squares <= kSquaredFloor ? 0.0f : along * inverse;  // at the floor the norm is a constant
    float pre[kW], dkey[kW];
#pragma unroll
    for (int i = 0; i < kW; ++i) {
      const float kappa = key[i] * k_k[i] * inverse, du = (dkappa[i] - kappa * along) * inverse;
      const float mixed = dk[i] * key[i], rest = alpha[i] - 1.0f;
      pre[i] = (mixed * k_a[i] + db[i] * kappa) * alpha[i] * -rest;
      dkey[i] = dk[i] * (1.0f + rest * k_a[i]) + du * k_k[i];
      sums[kDa0][i] += pre[i];
      sums[kDk_k][i] += du * key[i];
      sums[kDk_a][i] += mixed * rest;
    }
    if (!place.inside()) return;
    store_lane(p.da_lora + place.at(row), pre);
    store_lane(p.dk0 + place.at(row), dkey);
  });
  place.store_sums(sums, p.partial, kSums, kDa0);
}

template <class T>
__device__ __forceinline__ void value_row(const Backward<T>& p, const Queue<T>& queue, int64_t at, const Lane<T>& v0, float (&dv0)[kW]) {
  constexpr int n = kLaneParts<T>;
  const Lane<T> own = queue.template take<T>(n), v_lora = queue.template take<T>(2 * n), first = queue.template take<T>(3 * n);
  const Lane<T> dv = queue.template take<T>(4 * n);
  const Lane<float> before = queue.template take<float>(5 * n);
  float pre[kW], down[kW], dfirst[kW];
#pragma unroll
  for (int i = 0; i < kW; ++i) {
    const float q = sigmoid(v0[i] + v_lora[i]);
    pre[i] = dv[i] * (first[i] - own[i]) * q * (1.0f - q);
    dfirst[i] = before[i] + dv[i] * q;
    down[i] = dv[i] * (1.0f - q);
    dv0[i] += pre[i];
  }
  store_lane(p.dv_lora + at, pre);
  store_lane(p.dv0_in + at, down);
  store_lane(p.dv_first + at, dfirst);
}

template <class T>
__device__ __forceinline__ void decay_row(const Backward<T>& p, const Queue<T>& queue, int64_t at, float (&dw0)[kW]) {
  const Lane<T> dw = queue.template take<T>(0);
  float same[kW];
#pragma unroll
  for (int i = 0; i < kW; ++i) {
    same[i] = dw[i];
    dw0[i] += dw[i];
  }
  if (p.dw_lora) store_lane(p.dw_lora + at, same);
}

// Values, and decays, which only have to be summed.
template <class T, int LANES>
__device__ void values(const Backward<T>& p, const HeadRows& s) {
  const HeadPlace<LANES> place(s);
  const int c = place.channel();
  const Lane<T> v0((p.v_first ? p.v0 : p.a0) + c);
  float sums[2][kW] = {};
  Queue<T> queue;
  const auto ask = [&](int row) {
    const int64_t at = place.at(row);
    if (p.dw) queue.fetch(0, p.dw + at);
    if (!p.v_first) return;
    const T* from[] = {p.v0_in, p.v_lora, p.v_first, p.dv};
#pragma unroll
    for (int i = 0; i < 4; ++i) queue.fetch((i + 1) * kLaneParts<T>, from[i] + at);
    queue.fetch(5 * kLaneParts<T>, p.dv_first + at);
  };
  queue.each(place, ask, [&](int row) {
    if (!place.inside()) return;
    if (p.dw) decay_row(p, queue, place.at(row), sums[1]);
    if (p.v_first) value_row(p, queue, place.at(row), v0, sums[0]);
  });
  place.store_sums(sums, p.partial, kSums, kDv0);
}

// Elements moved per channel: k0, a_lora, dk, da, db, da_lora, dk0 (7), dw where its sum is wanted (1); behind layer 0 v0_in, v_lora,
// v_first, dv, dv_lora, dv0_in (6) and 8 bytes for dv_first.
template <class T, int LANES>
__global__ __launch_bounds__(kHeadThreads, 2) void backward(Backward<T> p, HeadRows s) {
  if (blockIdx.z == 0) {
    keys<T, LANES>(p, s);
  } else {
    values<T, LANES>(p, s);
  }
}

}  // namespace

void run(const Exec& ex, const Rwkv7PrepareForward& a) {
  const int64_t C = a.k_k.numel(), R = a.k0.numel() / C;
  const HeadRows rows(R, C, a.N, 4 * kHeadWarps);
  with_dtype(a.k0.dtype, [&]<class T>() {
    const Forward<T> p{.k0 = a.k0.as<T>(),
                       .w_lora = maybe<T>(a.w_lora),
                       .a_lora = a.a_lora.as<T>(),
                       .v0_in = maybe<T>(a.v0_in),
                       .v_lora = maybe<T>(a.v_lora),
                       .v_first = maybe<T>(a.v_first),
                       .w0 = maybe<T>(a.w0),
                       .a0 = a.a0.as<T>(),
                       .v0 = maybe<T>(a.v0),
                       .k_k = a.k_k.as<T>(),
                       .k_a = a.k_a.as<T>(),
                       .w = maybe<T>(a.w),
                       .k = a.k.as<T>(),
                       .a = a.a.as<T>(),
                       .b = a.b.as<T>(),
                       .v = maybe<T>(a.v)};
    with_lanes(a.N, [&]<int LANES>() { launch(ex, forward<T, LANES>, rows.over(p.v_first ? 2 : 1), p, rows); });
  });
}

void run(const Exec& ex, const Rwkv7PrepareBackward& a) {
  const int64_t C = a.k_k.numel(), R = a.k0.numel() / C;
  const HeadRows rows(R, C, a.N, rows_of_partial(R));
  const ArenaScope scope(*ex.scratch);
  const Tensor partial = ex.scratch->take(DType::f32, {rows.n_blocks(), kSums, C});
  if (ex.dry()) return;
  with_dtype(a.k0.dtype, [&]<class T>() {
    Backward<T> p{.k0 = a.k0.as<T>(),
                  .a_lora = a.a_lora.as<T>(),
                  .v0_in = maybe<T>(a.v0_in),
                  .v_lora = maybe<T>(a.v_lora),
                  .v_first = maybe<T>(a.v_first),
                  .a0 = a.a0.as<T>(),
                  .v0 = maybe<T>(a.v0),
                  .k_k = a.k_k.as<T>(),
                  .k_a = a.k_a.as<T>(),
                  .dw = a.dw.as<T>(),
                  .dk = a.dk.as<T>(),
                  .da = a.da.as<T>(),
                  .db = a.db.as<T>(),
                  .dv = maybe<T>(a.dv),
                  .dw_lora = a.dw_lora.data == a.dw.data ? nullptr : maybe<T>(a.dw_lora),
                  .da_lora = a.da_lora.as<T>(),
                  .dk0 = a.dk0.as<T>(),
                  .dv0_in = maybe<T>(a.dv0_in),
                  .dv_lora = maybe<T>(a.dv_lora),
                  .dv_first = maybe<float>(a.dv_first),
                  .partial = partial.as<float>()};
    if (!a.dw0 && !p.dw_lora) p.dw = nullptr;
    with_lanes(a.N, [&]<int LANES>() { launch(ex, backward<T, LANES>, rows.over(p.v_first || p.dw ? 2 : 1, Queue<T>::kBytes), p, rows); });
  });
  float* dv0 = a.v_first ? maybe<float>(a.dv0) : nullptr;
  const PartialTotals totals{{maybe<float>(a.da0), maybe<float>(a.dk_k), maybe<float>(a.dk_a), dv0, maybe<float>(a.dw0)}};
  add_partials(ex, partial.as<float>(), static_cast<int>(rows.n_blocks()), kSums, C, totals);
}

}  // namespace rk::cuda
