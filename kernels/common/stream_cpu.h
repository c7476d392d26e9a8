// Stores that go around the caches, for large results that no core reads soon: a line that is written as a whole is not read first.
#pragma once
#include <algorithm>
#include <cstdint>
#include <cstring>
#ifdef __x86_64__
#include <emmintrin.h>
#endif

#include "kernels/common/cpu_parallel.h"
#include "kernels/common/isa_cpu.h"

namespace rk::cpu {

inline constexpr int64_t kCacheLine = 64;               // bytes
inline constexpr int64_t kStreamed = int64_t{4} << 20;  // bytes of a result from which it leaves the caches anyway

// Asks for what stands kAhead bytes behind n elements at p. The processor's own fetching ahead stops at every page, if it is on at all.
template <int kAhead, class T>
ROOKERY_INLINE void fetch_ahead(const T* p, int64_t n) {
  const auto* ahead = reinterpret_cast<const std::byte*>(p) + kAhead;
  for (int64_t at = 0; at < n * static_cast<int64_t>(sizeof(T)); at += kCacheLine) __builtin_prefetch(ahead + at);
}

// to = from, n_bytes; parts of lines at both ends are stored as usual.
ROOKERY_INLINE void stream(void* to, const void* from, int64_t n_bytes) {
  auto* t = static_cast<std::byte*>(to);
  const auto* f = static_cast<const std::byte*>(from);
#ifdef __x86_64__
  const auto past = static_cast<int64_t>(reinterpret_cast<uintptr_t>(t) % kCacheLine);
  const int64_t head = std::min(n_bytes, (kCacheLine - past) % kCacheLine);
  std::memcpy(t, f, static_cast<size_t>(head));
  int64_t i = head;
  for (; i + kCacheLine <= n_bytes; i += kCacheLine) {
    for (int64_t j = i; j < i + kCacheLine; j += 16)
      _mm_stream_si128(reinterpret_cast<__m128i*>(t + j), _mm_loadu_si128(reinterpret_cast<const __m128i*>(f + j)));
  }
  std::memcpy(t + i, f + i, static_cast<size_t>(n_bytes - i));
#else
  std::memcpy(t, f, static_cast<size_t>(n_bytes));
#endif
}

template <class X, class Y>
ROOKERY_INLINE void convert(const X* x, Y* y, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) put(y, i, static_cast<acc_t<Y>>(get(x, i)));
}

// y = x in Y, by way of a run that stays in the first cache.
template <class X, class Y>
ROOKERY_INLINE void convert_streamed(const X* x, Y* y, int64_t n) {
  constexpr int64_t chunk = 64, run = 16 * chunk;
  alignas(kCacheLine) Y rounded[run];
  for (int64_t begin = 0; begin < n; begin += run) {
    const int64_t count = std::min(run, n - begin);
    int64_t i = 0;
    for (; i + chunk <= count; i += chunk) {
      fetch_ahead<2048>(x + begin + i, chunk);
      convert(x + begin + i, rounded + i, chunk);
    }
    convert(x + begin + i, rounded + i, count - i);
    stream(y + begin, rounded, count * static_cast<int64_t>(sizeof(Y)));
  }
}

// Streamed bytes are there for whoever is told so afterwards.
inline void finish_stream() {
#ifdef __x86_64__
  _mm_sfence();
#endif
}

}  // namespace rk::cpu
