#include "kernels/rwkv7_output/op.h"

#include "kernels/common/partials.cuh"
#include "kernels/common/row_queue.cuh"

namespace rk::cuda {
namespace {

constexpr int kW = kLaneChannels;

template <class T>
struct Forward {
  const T *y, *r, *k, *v, *g, *weight, *bias, *r_k;
  T* out;
  float eps;
};

// Elements moved per channel: y, r, k, v, g, out.
template <class T, int LANES>
__global__ __launch_bounds__(kHeadThreads, sizeof(T) == 4 ? 3 : 4) void forward(Forward<T> p, HeadRows s) {
  const HeadPlace<LANES> place(s);
  const int c = place.channel();
  const float share = 1.0f / static_cast<float>(s.N);
  const Lane<T> weight(p.weight + c), bias(p.bias + c), r_k(p.r_k + c);
  for (int row = place.first_row(); row < place.last_row(); row += kHeadWarps) {
    const int64_t at = place.at(row);
    const Lane<T> y(p.y + at), r(p.r + at), k(p.k + at), v(p.v + at), g(p.g + at);
    float mean = 0, bonus = 0, squares = 0, out[kW];
#pragma unroll
    for (int i = 0; i < kW; ++i) {
      mean += y[i];
      bonus += r[i] * k[i] * r_k[i];
    }
    mean = place.head_sum(mean) * share;
    bonus = place.head_sum(bonus);
#pragma unroll
    for (int i = 0; i < kW; ++i) squares += (y[i] - mean) * (y[i] - mean);
    const float rstd = rsqrtf(place.head_sum(squares) * share + p.eps);
#pragma unroll
    for (int i = 0; i < kW; ++i) out[i] = ((y[i] - mean) * rstd * weight[i] + bias[i] + bonus * v[i]) * g[i];
    if (place.inside()) store_lane(p.out + at, out);
  }
}

template <class T>
struct Backward {
  const T *y, *r, *k, *v, *g, *weight, *bias, *r_k, *dout;
  T *dy, *dr, *dk, *dv, *dg, *out;
  float* partial;
  float eps;
  bool add;
};
enum Sum { kDweight, kDbias, kDr_k, kSums };

template <class T>
using Queue = RowQueue<6 * kLaneParts<T>, sizeof(T) == 2 ? 3 : 1>;

template <class T>
__device__ __forceinline__ void add_lane(const T* p, float (&x)[kW]) {
  const Lane<T> more(p);
#pragma unroll
  for (int i = 0; i < kW; ++i) x[i] += more[i];
}

// Elements moved per channel: y, r, k, v, g, dout, dy, dr, dk, dv, dg (11), out where wanted, and dr, dk, dv once more to be added to.
template <class T, int LANES>
__global__ __launch_bounds__(kHeadThreads, 2) void backward(Backward<T> p, HeadRows s) {
  const HeadPlace<LANES> place(s);
  const int c = place.channel();
  const float share = 1.0f / static_cast<float>(s.N);
  float sums[kSums][kW] = {};
  Queue<T> queue;
  const auto ask = [&](int row) {
    const T* from[] = {p.y, p.r, p.k, p.v, p.g, p.dout};
#pragma unroll
    for (int i = 0; i < 6; ++i) queue.fetch(i * kLaneParts<T>, from[i] + place.at(row));
  };
  queue.each(place, ask, [&](int row) {
    constexpr int n = kLaneParts<T>;
    const Lane<T> y = queue.template take<T>(0), r = queue.template take<T>(n), k = queue.template take<T>(2 * n);
    const Lane<T> v = queue.template take<T>(3 * n), g = queue.template take<T>(4 * n), dout = queue.template take<T>(5 * n);
    const Lane<T> weight(p.weight + c), bias(p.bias + c), r_k(p.r_k + c);  // every row again: registers are dearer
    float mean = 0, bonus = 0, dbonus = 0, plain = 0, scaled = 0, squares = 0;
#pragma unroll
    for (int i = 0; i < kW; ++i) {
      const float dz = dout[i] * g[i];
      mean += y[i];
      bonus += r[i] * k[i] * r_k[i];
      dbonus += dz * v[i];
      plain += dz * weight[i];
    }
    mean = place.head_sum(mean) * share;
    bonus = place.head_sum(bonus);
    dbonus = place.head_sum(dbonus);
    plain = place.head_sum(plain) * share;
#pragma unroll
    for (int i = 0; i < kW; ++i) {
      const float away = y[i] - mean;
      squares += away * away;
      scaled += dout[i] * g[i] * weight[i] * away;
    }
    const float rstd = rsqrtf(place.head_sum(squares) * share + p.eps);
    scaled = place.head_sum(scaled) * share * rstd;
    float out[kW], dg[kW], dy[kW];
#pragma unroll
    for (int i = 0; i < kW; ++i) {
      const float normed = (y[i] - mean) * rstd, dz = dout[i] * g[i], z = normed * weight[i] + bias[i] + bonus * v[i];
      out[i] = z * g[i];
      dg[i] = dout[i] * z;
      dy[i] = rstd * (dz * weight[i] - plain - normed * scaled);
      sums[kDweight][i] += dz * normed;
      sums[kDbias][i] += dz;
    }
    if (!place.inside()) return;
    const int64_t at = place.at(row);
    if (p.out) store_lane(p.out + at, out);
    store_lane(p.dg + at, dg);
    store_lane(p.dy + at, dy);
    float dr[kW], dk[kW], dv[kW];
#pragma unroll
    for (int i = 0; i < kW; ++i) {
      dr[i] = dbonus * r_k[i] * k[i];
      dk[i] = dbonus * r_k[i] * r[i];
      dv[i] = bonus * (dout[i] * g[i]);
      sums[kDr_k][i] += dbonus * r[i] * k[i];
    }
    if (p.add) {
      add_lane(p.dr + at, dr);
      add_lane(p.dk + at, dk);
      add_lane(p.dv + at, dv);
    }
    store_lane(p.dr + at, dr);
    store_lane(p.dk + at, dk);
    store_lane(p.dv + at, dv);
  });
  place.store_sums(sums, p.partial, kSums, 0);
}

}  // namespace

void run(const Exec& ex, const Rwkv7OutputForward& a) {
  const int64_t C = a.weight.numel(), R = a.y.numel() / C;
  const HeadRows rows(R, C, a.N, 4 * kHeadWarps);
  with_dtype(a.y.dtype, [&]<class T>() {
    const Forward<T> p{.y = a.y.as<T>(),
                       .r = a.r.as<T>(),
                       .k = a.k.as<T>(),
                       .v = a.v.as<T>(),
                       .g = a.g.as<T>(),
                       .weight = a.weight.as<T>(),
                       .bias = a.bias.as<T>(),
                       .r_k = a.r_k.as<T>(),
                       .out = a.out.as<T>(),
                       .eps = static_cast<float>(a.eps)};
    with_lanes(a.N, [&]<int LANES>() { launch(ex, forward<T, LANES>, rows.over(1), p, rows); });
  });
}

void run(const Exec& ex, const Rwkv7OutputBackward& a) {
  const int64_t C = a.weight.numel(), R = a.y.numel() / C;
  const HeadRows rows(R, C, a.N, rows_of_partial(R));
  const ArenaScope scope(*ex.scratch);
  const Tensor partial = ex.scratch->take(DType::f32, {rows.n_blocks(), kSums, C});
  if (ex.dry()) return;
  with_dtype(a.y.dtype, [&]<class T>() {
    const Backward<T> p{.y = a.y.as<T>(),
                        .r = a.r.as<T>(),
                        .k = a.k.as<T>(),
                        .v = a.v.as<T>(),
                        .g = a.g.as<T>(),
                        .weight = a.weight.as<T>(),
                        .bias = a.bias.as<T>(),
                        .r_k = a.r_k.as<T>(),
                        .dout = a.dout.as<T>(),
                        .dy = a.dy.as<T>(),
                        .dr = a.dr.as<T>(),
                        .dk = a.dk.as<T>(),
                        .dv = a.dv.as<T>(),
                        .dg = a.dg.as<T>(),
                        .out = maybe<T>(a.out),
                        .partial = partial.as<float>(),
                        .eps = static_cast<float>(a.eps),
                        .add = a.add};
    with_lanes(a.N, [&]<int LANES>() { launch(ex, backward<T, LANES>, rows.over(1, Queue<T>::kBytes), p, rows); });
  });
  const PartialTotals totals{{maybe<float>(a.dweight), maybe<float>(a.dbias), maybe<float>(a.dr_k)}};
  add_partials(ex, partial.as<float>(), static_cast<int>(rows.n_blocks()), kSums, C, totals);
}

}  // namespace rk::cuda
