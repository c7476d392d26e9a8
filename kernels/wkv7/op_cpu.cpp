// The plain recurrence, vectorised, parallel over heads. It was measured against the chunk-parallel matrix form's operation count: at
// chunks of 16 that form needs as many multiply-adds and worse shapes, and operator time is a few percent of a step.
#include "kernels/wkv7/op.h"

#include <cmath>

#include "kernels/common/cpu_parallel.h"
#include "kernels/common/fast_math.h"
#include "kernels/common/head_chunks_cpu.h"
#include "kernels/wkv7/backward_cpu.h"
#include "kernels/wkv7/forward_cpu.h"

namespace rk::cpu {
namespace {

static_assert(kWkv7Chunk == kHeadChunk);
const double kLambda = std::exp(-0.5);

template <class A>
void raw_to_decay(A* w, int64_t n) {
  const A lambda = static_cast<A>(kLambda);
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) w[i] = fast_exp(-lambda * fast_sigmoid(w[i]));
}

// decay and slope = d decay / d w of raw w, by way of e = exp(-|w|): s (1 - s) = e / (1 + e)^2 without cancellation.
template <class A>
void raw_to_decay_and_slope(A* w, A* slope, int64_t n) {
  const A lambda = static_cast<A>(kLambda);
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    const A e = fast_exp(-std::fabs(w[i])), q = A(1) / (A(1) + e);
    const A decay = fast_exp(-lambda * fast_sigmoid(w[i]));
    slope[i] = -lambda * decay * (e * q * q);
    w[i] = decay;
  }
}

template <class A>
struct ForwardBuffers {
  A *state, *r, *w, *k, *v, *a, *b, *y;
  // From a token of the chunk on.
  ForwardBuffers from(int64_t offset) const {
    ForwardBuffers s = *this;
    for (A** q : {&s.r, &s.w, &s.k, &s.v, &s.a, &s.b, &s.y}) *q += offset;
    return s;
  }
  ForwardBuffers(A* p, int64_t N) {
    const int64_t n = kHeadChunk * N;
    state = p;
    p += N * N;
    for (A** q : {&r, &w, &k, &v, &a, &b, &y}) {
      *q = p;
      p += n;
    }
  }
};

// Panels of P*W value rows from row i on; `state` holds one panel after the other.
template <class A, int W, int P>
int64_t forward_panels(int64_t N, int64_t i, int64_t n_tokens, const ForwardBuffers<A>& s) {
  for (; i + P * W <= N; i += P * W) {
    ForwardPanel<A, W, P>{N, s.state + i * N}.run(n_tokens, {s.r, s.w, s.k, s.v + i, s.a, s.b, s.y + i});
  }
  return i;
}

template <class T, int W>
void forward_head(const Wkv7Forward& a, int64_t bh, acc_t<T>* scratch) {
  using A = acc_t<T>;
  const Head h(a.r.shape, bh);
  const int64_t N = h.N, square = N * N;
  const ForwardBuffers<A> s(scratch, N);
  const A* in = a.state_in ? a.state_in.as<A>() + bh * square : nullptr;
  for (int64_t i = 0; i < N; i += panel_rows<W>(N, i)) {
    const int64_t rows = panel_rows<W>(N, i);
    if (in) transpose(in + i * N, rows, N, N, s.state + i * N, rows);
  }
  if (!in) std::fill(s.state, s.state + square, A(0));
  const auto write_state = [&](A* to) {
    for (int64_t i = 0; i < N; i += panel_rows<W>(N, i)) {
      const int64_t rows = panel_rows<W>(N, i);
      transpose(s.state + i * N, N, rows, rows, to + i * N, N);
    }
  };
  for (int64_t chunk = 0; chunk < h.n_chunks(); ++chunk) {
    if (a.saved_states) write_state(a.saved_states.as<A>() + (bh * h.n_chunks() + chunk) * square);
    gather<T>(a.r, h, chunk, s.r);
    gather<T>(a.w, h, chunk, s.w);
    gather<T>(a.k, h, chunk, s.k);
    gather<T>(a.v, h, chunk, s.v);
    gather<T>(a.a, h, chunk, s.a);
    gather<T>(a.b, h, chunk, s.b);
    raw_to_decay(s.w, h.length(chunk) * N);
    const Documents documents(a.resets, h, chunk);
    for (const Documents::Part& part : documents.parts()) {
      if (part.begins) std::fill(s.state, s.state + square, A(0));
      const ForwardBuffers<A> own = s.from(part.first * N);
      const int64_t done = forward_panels<A, W, 4>(N, 0, part.n, own);
      forward_panels<A, W, 1>(N, done, part.n, own);
    }
    scatter<T>(s.y, a.y, h, chunk);
  }
  if (a.state_out) write_state(a.state_out.as<A>() + bh * square);
}

template <class A>
struct BackwardBuffers {
  A *G, *states, *slope, *r, *w, *k, *v, *a, *b, *dy, *dr, *dw, *dk, *dv, *da, *db, *sa, *dsa;
  A* zeros = nullptr;  // a state, with resets
  BackwardBuffers(A* p, int64_t N, bool resets) {
    const int64_t n = kHeadChunk * N;
    G = p;
    p += N * N;
    states = p;
    p += (kHeadChunk - 1) * N * N;
    for (A** q : {&slope, &r, &w, &k, &v, &a, &b, &dy, &dr, &dw, &dk, &dv, &da, &db, &sa, &dsa}) {
      *q = p;
      p += n;
    }
    if (!resets) return;
    zeros = p;
    std::fill(zeros, zeros + N * N, A(0));
  }
};

template <class T, int W>
void backward_head(const Wkv7Backward& a, int64_t bh, acc_t<T>* scratch) {
  using A = acc_t<T>;
  const Head h(a.r.shape, bh);
  const int64_t N = h.N, square = N * N;
  const BackwardBuffers<A> s(scratch, N, bool(a.resets));
  if (a.dstate_out) {
    std::copy_n(a.dstate_out.as<A>() + bh * square, square, s.G);
  } else {
    std::fill(s.G, s.G + square, A(0));
  }
  for (int64_t chunk = h.n_chunks() - 1; chunk >= 0; --chunk) {
    const int64_t n = h.length(chunk);
    gather<T>(a.r, h, chunk, s.r);
    gather<T>(a.w, h, chunk, s.w);
    gather<T>(a.k, h, chunk, s.k);
    gather<T>(a.v, h, chunk, s.v);
    gather<T>(a.a, h, chunk, s.a);
    gather<T>(a.b, h, chunk, s.b);
    gather<T>(a.dy, h, chunk, s.dy);
    raw_to_decay_and_slope(s.w, s.slope, n * N);
    const A* saved = a.saved_states.as<A>() + (bh * h.n_chunks() + chunk) * square;
    const Documents documents(a.resets, h, chunk);
    for (auto part = documents.parts().rbegin(); part != documents.parts().rend(); ++part) {
      const int64_t o = part->first * N;
      const BackwardChunk<A> c{part->n,
                               s.r + o,
                               s.w + o,
                               s.k + o,
                               s.v + o,
                               s.a + o,
                               s.b + o,
                               s.dy + o,
                               s.dr + o,
                               s.dw + o,
                               s.dk + o,
                               s.dv + o,
                               s.da + o,
                               s.db + o,
                               s.sa + o,
                               s.dsa,
                               part->begins ? s.zeros : saved,
                               s.states,
                               s.G};
      if (N == 64) {
        ChunkBackward<A, W, 64>{c, N}.run();
      } else {
        ChunkBackward<A, W, 0>{c, N}.run();
      }
      if (part->begins) std::fill(s.G, s.G + square, A(0));
    }
    for (int64_t i = 0; i < n * N; ++i) s.dw[i] *= s.slope[i];
    scatter<T>(s.dr, a.dr, h, chunk, a.dr_more);
    scatter<T>(s.dw, a.dw, h, chunk);
    scatter<T>(s.dk, a.dk, h, chunk, a.dk_more);
    scatter<T>(s.dv, a.dv, h, chunk, a.dv_more);
    scatter<T>(s.da, a.da, h, chunk);
    scatter<T>(s.db, a.db, h, chunk);
  }
  if (a.dstate_in) std::copy_n(s.G, square, a.dstate_in.as<A>() + bh * square);
}

}  // namespace

int64_t wkv7_forward_scratch(int64_t N) { return N * N + 7 * kHeadChunk * N; }
int64_t wkv7_backward_scratch(int64_t N, bool resets) { return (kHeadChunk + (resets ? 1 : 0)) * N * N + 16 * kHeadChunk * N; }

void run(const Exec& ex, const Wkv7Forward& a, const Tensor& scratch) {
  const Shape& s = a.r.shape;
  with_dtype(a.r.dtype, [&]<class T>() {
    with_lanes<acc_t<T>>(s[3], [&]<int W>() {
      for_each_claimed(ex, s[0] * s[2], [&](int64_t bh, int slot) {
        forward_head<T, W>(a, bh, scratch.as<acc_t<T>>() + slot * wkv7_forward_scratch(s[3]));
      });
    });
  });
}

void run(const Exec& ex, const Wkv7Backward& a, const Tensor& scratch) {
  const Shape& s = a.r.shape;
  with_dtype(a.r.dtype, [&]<class T>() {
    with_lanes<acc_t<T>>(s[3], [&]<int W>() {
      for_each_claimed(ex, s[0] * s[2], [&](int64_t bh, int slot) {
        backward_head<T, W>(a, bh, scratch.as<acc_t<T>>() + slot * wkv7_backward_scratch(s[3], bool(a.resets)));
      });
    });
  });
}

}  // namespace rk::cpu
