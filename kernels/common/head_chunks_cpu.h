// What operators with a state per head share on the CPU: where a head's tokens lie, chunks of them as numbers to compute with, and the
// documents inside a chunk.
#pragma once
#include <array>
#include <span>

#include "kernels/common/cpu_parallel.h"
#include "kernels/common/resets.h"
#include "kernels/common/vec.h"

namespace rk::cpu {

inline constexpr int64_t kHeadChunk = 16;  // tokens

// Where a head's sequence lies in [B,T,H,N].
struct Head {
  int64_t T, N, stride, row, offset;  // row: of the batch
  Head(const Shape& s, int64_t bh) : T(s[1]), N(s[3]), stride(s[2] * s[3]), row(bh / s[2]), offset(row * T * stride + bh % s[2] * N) {}
  int64_t n_chunks() const { return (T + kHeadChunk - 1) / kHeadChunk; }
  int64_t first(int64_t chunk) const { return chunk * kHeadChunk; }
  int64_t length(int64_t chunk) const { return std::min(kHeadChunk, T - chunk * kHeadChunk); }
};

// The parts of a chunk that belong to one document each.
class Documents {
 public:
  struct Part {
    int64_t first, n;  // tokens of the chunk
    bool begins;       // the document begins here: S is zero before it
  };
  Documents(const Tensor& resets, const Head& h, int64_t chunk) {
    const int64_t n = h.length(chunk);
    const uint8_t* flags = resets ? reset_flags(resets) + h.row * h.T + h.first(chunk) : nullptr;
    for (int64_t t = 0; t < n; ++t) {
      const bool begins = flags && flags[t];
      if (t == 0 || begins) parts_[n_++] = {t, 0, begins};
      ++parts_[n_ - 1].n;
    }
  }
  std::span<const Part> parts() const { return {parts_.data(), n_}; }

 private:
  std::array<Part, kHeadChunk> parts_;
  size_t n_ = 0;
};

// buffer [n][N] = tokens first .. first + n of a head.
template <class T>
const acc_t<T>* gather(const Tensor& x, const Head& h, int64_t chunk, acc_t<T>* buffer) {
  for (int64_t t = 0; t < h.length(chunk); ++t) {
    const T* from = x.as<T>() + h.offset + (h.first(chunk) + t) * h.stride;
    acc_t<T>* to = buffer + t * h.N;
#pragma omp simd
    for (int64_t j = 0; j < h.N; ++j) to[j] = get(from, j);
  }
  return buffer;
}
// The way back; `more`, of x's size, is added where it is given (it may be x).
template <class T>
void scatter(acc_t<T>* buffer, const Tensor& x, const Head& h, int64_t chunk, const Tensor& more = {}) {
  for (int64_t t = 0; t < h.length(chunk); ++t) {
    const int64_t at = h.offset + (h.first(chunk) + t) * h.stride;
    T* to = x.as<T>() + at;
    acc_t<T>* from = buffer + t * h.N;
    if (more) {
      const T* add = more.as<T>() + at;
#pragma omp simd
      for (int64_t j = 0; j < h.N; ++j) from[j] += get(add, j);
    }
#pragma omp simd
    for (int64_t j = 0; j < h.N; ++j) put(to, j, from[j]);
  }
}

// Calls f.operator()<W>() with the widest vector that divides a head.
template <class A, class F>
void with_lanes(int64_t N, const F& f) {
  if (N % kLanes<A> == 0) return f.template operator()<kLanes<A>>();
  f.template operator()<8>();
}

// Rows of one panel at row i.
template <int W>
int64_t panel_rows(int64_t N, int64_t i) {
  return i + 4 * W <= N ? 4 * W : W;
}

}  // namespace rk::cpu
