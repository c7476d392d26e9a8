#include "io/zip/crc.h"

#include <immintrin.h>
#include <zlib.h>

namespace rk::zip {
namespace {

constexpr size_t kFolded = 64;  // bytes that are folded at a time

// Remainders of powers of x modulo the polynomial, its bits reflected. Gopal et al., "Fast CRC Computation for Generic Polynomials Using
// PCLMULQDQ Instruction", Intel 2009.
struct Powers {
  uint64_t low, high;
};
constexpr Powers kBy64Bytes{0x154442bd4, 0x1c6e41596}, kBy16Bytes{0x1751997d0, 0x0ccaa009e};
constexpr Powers kBy8Bytes{0x163cd6124, 0}, kPolynomial{0x1db710641, 0x1f7011641};

__attribute__((target("pclmul,sse4.1"))) __m128i vector_of(Powers p) {
  return _mm_set_epi64x(static_cast<int64_t>(p.high), static_cast<int64_t>(p.low));
}

// x moved on by the distance of `powers`, and what lies there added.
__attribute__((target("pclmul,sse4.1"))) __m128i fold(__m128i x, __m128i powers, __m128i there) {
  return _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(x, powers, 0x00), _mm_clmulepi64_si128(x, powers, 0x11)), there);
}

// n_bytes: a multiple of 16, at least kFolded.
__attribute__((target("pclmul,sse4.1"))) uint32_t crc32_folded(uint32_t crc, const unsigned char* data, size_t n_bytes) {
  const auto* p = reinterpret_cast<const __m128i*>(data);
  const auto* const end = p + n_bytes / sizeof(__m128i);
  __m128i x0 = _mm_xor_si128(_mm_loadu_si128(p), _mm_cvtsi32_si128(static_cast<int>(~crc)));
  __m128i x1 = _mm_loadu_si128(p + 1), x2 = _mm_loadu_si128(p + 2), x3 = _mm_loadu_si128(p + 3);
  const __m128i far = vector_of(kBy64Bytes), near = vector_of(kBy16Bytes);
  for (p += 4; end - p >= 4; p += 4) {
    x0 = fold(x0, far, _mm_loadu_si128(p));
    x1 = fold(x1, far, _mm_loadu_si128(p + 1));
    x2 = fold(x2, far, _mm_loadu_si128(p + 2));
    x3 = fold(x3, far, _mm_loadu_si128(p + 3));
  }
  __m128i x = fold(fold(fold(x0, near, x1), near, x2), near, x3);
  for (; p < end; ++p) x = fold(x, near, _mm_loadu_si128(p));

  // 128 bits to 64, to 32 (Barrett).
  const __m128i low32 = _mm_setr_epi32(~0, 0, ~0, 0);
  x = _mm_xor_si128(_mm_srli_si128(x, 8), _mm_clmulepi64_si128(x, near, 0x10));
  x = _mm_xor_si128(_mm_srli_si128(x, 4), _mm_clmulepi64_si128(_mm_and_si128(x, low32), vector_of(kBy8Bytes), 0x00));
  const __m128i polynomial = vector_of(kPolynomial);
  __m128i t = _mm_clmulepi64_si128(_mm_and_si128(x, low32), polynomial, 0x10);
  t = _mm_clmulepi64_si128(_mm_and_si128(t, low32), polynomial, 0x00);
  return ~static_cast<uint32_t>(_mm_extract_epi32(_mm_xor_si128(x, t), 1));
}

}  // namespace

uint32_t crc32(uint32_t crc, const void* data, size_t n_bytes) {
  const auto* p = static_cast<const unsigned char*>(data);
  if (n_bytes >= kFolded && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1")) {
    const size_t n = n_bytes / sizeof(__m128i) * sizeof(__m128i);
    crc = crc32_folded(crc, p, n);
    p += n;
    n_bytes -= n;
  }
  return static_cast<uint32_t>(crc32_z(crc, p, n_bytes));
}

}  // namespace rk::zip
