// exp, sigmoid and tanh that the compiler can vectorise in float (at most 2 ulp off, NaN and infinities as in std); double uses std.
// A call that is not inlined would keep its loop from being vectorised.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

namespace rk::cpu {

[[gnu::always_inline]] inline double fast_exp(double x) { return std::exp(x); }

// e^x = 2^n e^r with |r| <= ln2 / 2; e^r is a polynomial of degree 7 whose leading sum 1 + r keeps its rounding error, 2^n is applied in
// two halves so that results near both ends of the range come out right.
[[gnu::always_inline]] inline float fast_exp(float x) {
  const float bounded = x > 89.0f ? 89.0f : (x < -104.0f ? -104.0f : x);
  const float shifted = bounded * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: the low bits now hold n
  const float n = shifted - 12582912.0f;
  const float high = bounded - n * 0.693359375f, low = n * 2.12194440e-4f;
  const float r = high + low;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  const float sum = 1.0f + high;
  p = sum + (p * (r * r) + (low + (high - (sum - 1.0f))));
  const int32_t whole = std::bit_cast<int32_t>(shifted) - 0x4b400000;
  const int32_t half = whole >> 1;
  const float scale1 = std::bit_cast<float>((half + 127) << 23);
  const float scale2 = std::bit_cast<float>((whole - half + 127) << 23);
  return x != x ? x : p * scale1 * scale2;
}

// With e = exp(-|x|) and q = e / (1 + e), both forms end in one subtraction of a small term: the quotient's rounding hardly counts.
template <class T>
[[gnu::always_inline]] inline T fast_sigmoid(T x) {
  const T e = fast_exp(x < T(0) ? x : -x);
  const T q = e / (T(1) + e);
  return x < T(0) ? e - e * q : T(1) - q;
}

[[gnu::always_inline]] inline double fast_tanh(double x) { return std::tanh(x); }
[[gnu::always_inline]] inline float fast_tanh(float x) {
  const float z = x * x;
  float p = -5.70498872745e-3f;
  p = p * z + 2.06390887954e-2f;
  p = p * z - 5.37397155531e-2f;
  p = p * z + 1.33314422036e-1f;
  p = p * z - 3.33332819422e-1f;
  const float near = p * z * x + x;
  const float far = 1.0f - 2.0f / (fast_exp(2.0f * std::fabs(x)) + 1.0f);
  return std::copysign(std::fabs(x) < 0.625f ? std::fabs(near) : far, x);
}

}  // namespace rk::cpu
