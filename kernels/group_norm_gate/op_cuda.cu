#include "kernels/group_norm_gate/op.h"

#include "kernels/common/partials.cuh"
#include "kernels/common/row_queue.cuh"

namespace rk::cuda {
namespace {

constexpr int kW = kLaneChannels;

template <class T>
struct Inputs {
  const T *y, *g, *weight, *bias;
  float eps;
  bool silu;

  template <class Args>
  explicit Inputs(const Args& a)
      : y(a.y.template as<T>()),
        g(a.g.template as<T>()),
        weight(a.weight.template as<T>()),
        bias(a.bias.template as<T>()),
        eps(static_cast<float>(a.eps)),
        silu(a.f == Gate::silu) {}
};

// Elements moved per channel: y, g, out.
template <class T, int LANES>
__global__ __launch_bounds__(kHeadThreads, 4) void forward(Inputs<T> p, T* outs, HeadRows s) {
  const HeadPlace<LANES> place(s);
  const int c = place.channel();
  const float share = 1.0f / static_cast<float>(s.N);
  const Lane<T> weight(p.weight + c), bias(p.bias + c);
#pragma unroll 2
  for (int row = place.first_row(); row < place.last_row(); row += kHeadWarps) {
    const int64_t at = place.at(row);
    const Lane<T> y(p.y + at), g(p.g + at);
    float mean = 0, squares = 0, out[kW];
#pragma unroll
    for (int i = 0; i < kW; ++i) mean += y[i];
    mean = place.head_sum(mean) * share;
#pragma unroll
    for (int i = 0; i < kW; ++i) squares += (y[i] - mean) * (y[i] - mean);
    const float rstd = rsqrtf(place.head_sum(squares) * share + p.eps);
#pragma unroll
    for (int i = 0; i < kW; ++i) {
      const float gate = p.silu ? g[i] * sigmoid(g[i]) : g[i];
      out[i] = ((y[i] - mean) * rstd * weight[i] + bias[i]) * gate;
    }
    if (place.inside()) store_lane(outs + at, out);
  }
}

template <class T>
struct Gradients {
  const T* dout;
  T *dy, *dg, *out;
  float* partial;
};
enum Sum { kDweight, kDbias, kSums };

template <class T>
using Queue = RowQueue<3 * kLaneParts<T>, sizeof(T) == 2 ? 3 : 2>;

// Elements moved per channel: y, g, dout, dy, dg, and out where wanted.
template <class T, int LANES>
__global__ __launch_bounds__(kHeadThreads, 2) void backward(Inputs<T> p, Gradients<T> d, HeadRows s) {
  const HeadPlace<LANES> place(s);
  const int c = place.channel();
  const float share = 1.0f / static_cast<float>(s.N);
  float sums[kSums][kW] = {};
  Queue<T> queue;
  const auto ask = [&](int row) {
    const T* from[] = {p.y, p.g, d.dout};
#pragma unroll
    for (int i = 0; i < 3; ++i) queue.fetch(i * kLaneParts<T>, from[i] + place.at(row));
  };
  queue.each(place, ask, [&](int row) {
    constexpr int n = kLaneParts<T>;
    const Lane<T> y = queue.template take<T>(0), g = queue.template take<T>(n), dout = queue.template take<T>(2 * n);
    const Lane<T> weight(p.weight + c), bias(p.bias + c);  // every row again: registers are dearer
    float mean = 0, plain = 0, scaled = 0, squares = 0, gate[kW], slope[kW];
#pragma unroll
    for (int i = 0; i < kW; ++i) {
      const float open = sigmoid(g[i]);
      gate[i] = p.silu ? g[i] * open : g[i];
      slope[i] = p.silu ? open + gate[i] * (1.0f - open) : 1.0f;
      mean += y[i];
      plain += dout[i] * gate[i] * weight[i];
    }
    mean = place.head_sum(mean) * share;
    plain = place.head_sum(plain) * share;
#pragma unroll
    for (int i = 0; i < kW; ++i) {
      const float away = y[i] - mean;
      squares += away * away;
      scaled += dout[i] * gate[i] * weight[i] * away;
    }
    const float rstd = rsqrtf(place.head_sum(squares) * share + p.eps);
    scaled = place.head_sum(scaled) * share * rstd;
    float out[kW], dg[kW], dy[kW];
#pragma unroll
    for (int i = 0; i < kW; ++i) {
      const float normed = (y[i] - mean) * rstd, dz = dout[i] * gate[i], z = normed * weight[i] + bias[i];
      out[i] = z * gate[i];
      dg[i] = dout[i] * z * slope[i];
      dy[i] = rstd * (dz * weight[i] - plain - normed * scaled);
      sums[kDweight][i] += dz * normed;
      sums[kDbias][i] += dz;
    }
    if (!place.inside()) return;
    const int64_t at = place.at(row);
    if (d.out) store_lane(d.out + at, out);
    store_lane(d.dg + at, dg);
    store_lane(d.dy + at, dy);
  });
  place.store_sums(sums, d.partial, kSums, 0);
}

}  // namespace

void run(const Exec& ex, const GroupNormGateForward& a) {
  if (ex.dry()) return;
  const int64_t C = a.weight.numel(), R = a.y.numel() / C;
  const HeadRows rows(R, C, a.N, 8 * kHeadWarps);
  with_dtype(a.y.dtype, [&]<class T>() {
    with_lanes(a.N, [&]<int LANES>() { launch(ex, forward<T, LANES>, rows.over(1), Inputs<T>(a), a.out.as<T>(), rows); });
  });
}

void run(const Exec& ex, const GroupNormGateBackward& a) {
  const int64_t C = a.weight.numel(), R = a.y.numel() / C;
  const HeadRows rows(R, C, a.N, rows_of_partial(R));
  const ArenaScope scope(*ex.scratch);
  const Tensor partial = ex.scratch->take(DType::f32, {rows.n_blocks(), kSums, C});
  if (ex.dry()) return;
  with_dtype(a.y.dtype, [&]<class T>() {
    const Gradients<T> d{
        .dout = a.dout.as<T>(), .dy = a.dy.as<T>(), .dg = a.dg.as<T>(), .out = maybe<T>(a.out), .partial = partial.as<float>()};
    with_lanes(a.N, [&]<int LANES>() { launch(ex, backward<T, LANES>, rows.over(1, Queue<T>::kBytes), Inputs<T>(a), d, rows); });
  });
  const PartialTotals totals{{maybe<float>(a.dweight), maybe<float>(a.dbias)}};
  add_partials(ex, partial.as<float>(), static_cast<int>(rows.n_blocks()), kSums, C, totals);
}

}  // namespace rk::cuda
