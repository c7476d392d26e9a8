// The plain recurrence, vectorised, parallel over heads.
#include "kernels/wkv6/op.h"

#include "kernels/common/fast_math.h"
#include "kernels/common/head_chunks_cpu.h"
#include "kernels/wkv6/backward_cpu.h"
#include "kernels/wkv6/forward_cpu.h"

namespace rk::cpu {
namespace {

static_assert(kWkv6Chunk == kHeadChunk);

// [n][N] = the raw w of a chunk's tokens: each its own, or the head's for all.
template <class T>
void gather_w(const Tensor& w, const Head& h, int64_t head, int64_t chunk, acc_t<T>* to) {
  if (w.shape.rank == 4) {
    gather<T>(w, h, chunk, to);
    return;
  }
  for (int64_t t = 0; t < h.length(chunk); ++t)
    for (int64_t j = 0; j < h.N; ++j) to[t * h.N + j] = get(w.as<T>() + head * h.N, j);
}

template <class A>
void raw_to_decay(A* w, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) w[i] = fast_exp(-fast_exp(w[i]));
}
// decay and slope = d decay / d w = -exp(w - exp(w)), which is 0 where exp(w) is infinite.
template <class A>
void raw_to_decay_and_slope(A* w, A* slope, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const A rate = fast_exp(w[i]);
    slope[i] = -fast_exp(w[i] - rate);
    w[i] = fast_exp(-rate);
  }
}

template <class A>
struct ForwardBuffers {
  A *state, *u, *bonus, *r, *w, *k, *v, *y;
  ForwardBuffers(A* p, int64_t N) : state(p), u(p + N * N), bonus(u + N) {
    p = bonus + kHeadChunk;
    for (A** q : {&r, &w, &k, &v, &y}) {
      *q = p;
      p += kHeadChunk * N;
    }
  }
};

// Panels of P*W value rows from row i on, tokens `first` .. + n; `state` holds one panel after the other.
template <class A, int W, int P>
int64_t forward_panels(int64_t N, int64_t i, int64_t first, int64_t n, const ForwardBuffers<A>& s) {
  const int64_t o = first * N;
  for (; i + P * W <= N; i += P * W)
    Wkv6Panel<A, W, P>{N, s.state + i * N}.run(n, {s.r + o, s.w + o, s.k + o, s.v + o + i, s.bonus + first, s.y + o + i});
  return i;
}

template <class T, int W>
void forward_head(const Wkv6Forward& a, int64_t bh, acc_t<T>* scratch) {
  using A = acc_t<T>;
  const Head h(a.r.shape, bh);
  const int64_t N = h.N, square = N * N, head = bh % a.r.shape[2];
  const ForwardBuffers<A> s(scratch, N);
  for (int64_t j = 0; j < N; ++j) s.u[j] = get(a.u.as<T>() + head * N, j);
  const A* in = a.state_in ? a.state_in.as<A>() + bh * square : nullptr;
  if (!in) std::fill(s.state, s.state + square, A(0));
  for (int64_t i = 0; in && i < N; i += panel_rows<W>(N, i)) {
    const int64_t rows = panel_rows<W>(N, i);
    transpose(in + i * N, rows, N, N, s.state + i * N, rows);
  }
  const auto write_state = [&](A* to) {
    for (int64_t i = 0; i < N; i += panel_rows<W>(N, i)) {
      const int64_t rows = panel_rows<W>(N, i);
      transpose(s.state + i * N, N, rows, rows, to + i * N, N);
    }
  };
  for (int64_t chunk = 0; chunk < h.n_chunks(); ++chunk) {
    const int64_t n = h.length(chunk);
    if (a.saved_states) write_state(a.saved_states.as<A>() + (bh * h.n_chunks() + chunk) * square);
    gather<T>(a.r, h, chunk, s.r);
    gather_w<T>(a.w, h, head, chunk, s.w);
    gather<T>(a.k, h, chunk, s.k);
    gather<T>(a.v, h, chunk, s.v);
    raw_to_decay(s.w, n * N);
    for (int64_t t = 0; t < n; ++t) {
      A sum = 0;
      for (int64_t j = 0; j < N; ++j) sum += s.r[t * N + j] * s.u[j] * s.k[t * N + j];
      s.bonus[t] = sum;
    }
    const Documents documents(a.resets, h, chunk);
    for (const Documents::Part& part : documents.parts()) {
      if (part.begins) std::fill(s.state, s.state + square, A(0));
      const int64_t done = forward_panels<A, W, 4>(N, 0, part.first, part.n, s);
      forward_panels<A, W, 1>(N, done, part.first, part.n, s);
    }
    scatter<T>(s.y, a.y, h, chunk);
  }
  if (a.state_out) write_state(a.state_out.as<A>() + bh * square);
}

template <class A>
struct BackwardBuffers {
  A *G, *states, *zeros, *u, *r, *w, *k, *v, *dy, *slope, *dr, *dw, *dk, *dv;
  BackwardBuffers(A* p, int64_t N) : G(p), states(G + N * N), zeros(states + (kHeadChunk - 1) * N * N), u(zeros + N * N) {
    p = u + N;
    for (A** q : {&r, &w, &k, &v, &dy, &slope, &dr, &dw, &dk, &dv}) {
      *q = p;
      p += kHeadChunk * N;
    }
    std::fill(zeros, zeros + N * N, A(0));
  }
};

// du, dw_sum [N]: this head's sums over tokens; dw_sum null: w has a gradient per token or none.
template <class T, int W>
void backward_head(const Wkv6Backward& a, int64_t bh, acc_t<T>* scratch, acc_t<T>* du, acc_t<T>* dw_sum) {
  using A = acc_t<T>;
  const Head h(a.r.shape, bh);
  const int64_t N = h.N, square = N * N, head = bh % a.r.shape[2];
  const BackwardBuffers<A> s(scratch, N);
  for (int64_t j = 0; j < N; ++j) s.u[j] = get(a.u.as<T>() + head * N, j);
  std::fill(du, du + N, A(0));
  if (dw_sum) std::fill(dw_sum, dw_sum + N, A(0));
  if (a.dstate_out) {
    std::copy_n(a.dstate_out.as<A>() + bh * square, square, s.G);
  } else {
    std::fill(s.G, s.G + square, A(0));
  }
  for (int64_t chunk = h.n_chunks() - 1; chunk >= 0; --chunk) {
    const int64_t n = h.length(chunk);
    gather<T>(a.r, h, chunk, s.r);
    gather_w<T>(a.w, h, head, chunk, s.w);
    gather<T>(a.k, h, chunk, s.k);
    gather<T>(a.v, h, chunk, s.v);
    gather<T>(a.dy, h, chunk, s.dy);
    raw_to_decay_and_slope(s.w, s.slope, n * N);
    const A* saved = a.saved_states.as<A>() + (bh * h.n_chunks() + chunk) * square;
    const Documents documents(a.resets, h, chunk);
    for (auto part = documents.parts().rbegin(); part != documents.parts().rend(); ++part) {
      const int64_t o = part->first * N;
      const Wkv6Chunk<A> c{part->n,
                           s.r + o,
                           s.w + o,
                           s.k + o,
                           s.v + o,
                           s.dy + o,
                           s.u,
                           s.dr + o,
                           s.dw + o,
                           s.dk + o,
                           s.dv + o,
                           du,
                           part->begins ? s.zeros : saved,
                           s.states,
                           s.G};
      if (N == 64) {
        Wkv6ChunkBackward<A, W, 64>{c, N}.run();
      } else {
        Wkv6ChunkBackward<A, W, 0>{c, N}.run();
      }
      if (part->begins) std::fill(s.G, s.G + square, A(0));
    }
    for (int64_t i = 0; i < n * N; ++i) s.dw[i] *= s.slope[i];
    for (int64_t t = 0; dw_sum && t < n; ++t)
      for (int64_t j = 0; j < N; ++j) dw_sum[j] += s.dw[t * N + j];
    scatter<T>(s.dr, a.dr, h, chunk);
    if (!dw_sum && a.dw) scatter<T>(s.dw, a.dw, h, chunk);
    scatter<T>(s.dk, a.dk, h, chunk);
    scatter<T>(s.dv, a.dv, h, chunk);
  }
  if (a.dstate_in) std::copy_n(s.G, square, a.dstate_in.as<A>() + bh * square);
}

}  // namespace

int64_t wkv6_forward_scratch(int64_t N) { return N * N + N + kHeadChunk + 5 * kHeadChunk * N; }
int64_t wkv6_backward_scratch(int64_t N) { return (kHeadChunk + 1) * N * N + N + 10 * kHeadChunk * N; }

void run(const Exec& ex, const Wkv6Forward& a, const Tensor& scratch) {
  const Shape& s = a.r.shape;
  with_dtype(a.r.dtype, [&]<class T>() {
    with_lanes<acc_t<T>>(s[3], [&]<int W>() {
      for_each_claimed(ex, s[0] * s[2], [&](int64_t bh, int slot) {
        forward_head<T, W>(a, bh, scratch.as<acc_t<T>>() + slot * wkv6_forward_scratch(s[3]));
      });
    });
  });
}

// sums [2][B][H][N]: du and dw of every head, which are added row by row of the batch.
void run(const Exec& ex, const Wkv6Backward& a, const Tensor& scratch, const Tensor& sums) {
  const Shape& s = a.r.shape;
  const int64_t N = s[3], C = s[2] * N;
  const bool shared_w = a.w.shape.rank == 2;
  with_dtype(a.r.dtype, [&]<class T>() {
    using A = acc_t<T>;
    A *const du = sums.as<A>(), *const dw = du + s[0] * C;
    with_lanes<A>(N, [&]<int W>() {
      for_each_claimed(ex, s[0] * s[2], [&](int64_t bh, int slot) {
        backward_head<T, W>(a, bh, scratch.as<A>() + slot * wkv6_backward_scratch(N), du + bh * N, shared_w ? dw + bh * N : nullptr);
      });
    });
    add_partials(ex, du, s[0], C, C, a.du);
    if (shared_w) add_partials(ex, dw, s[0], C, C, a.dw);
  });
}

}  // namespace rk::cpu
