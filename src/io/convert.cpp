#include "io/convert.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace rk {
namespace {

// A bool in a file: one byte, 0 or 1 (any other value counts as true).
struct Bool8 {
  uint8_t bits;
};

// A float whose last bit says whether the double held more: rounding it again to a narrower type equals rounding once.
float round_to_odd(double x) {
  const float f = static_cast<float>(x);
  if (std::isnan(x) || static_cast<double>(f) == x) return f;
  uint32_t bits = std::bit_cast<uint32_t>(f);
  if (std::isinf(f)) return std::bit_cast<float>(bits - 1);  // the largest finite float, which is odd
  if (std::fabs(static_cast<double>(f)) > std::fabs(x)) bits -= 1;
  return std::bit_cast<float>(bits | 1u);
}

template <class T>
double as_double(T x) {
  if constexpr (std::is_same_v<T, f16>) {
    return static_cast<double>(to_float(x));
  } else {
    return static_cast<double>(x);
  }
}

template <class T>
constexpr bool is_float_type = std::is_same_v<T, double> || std::is_same_v<T, float> || std::is_same_v<T, bf16> || std::is_same_v<T, f16>;

template <class T>
float as_float(T x) {
  if constexpr (std::is_same_v<T, f16>) {
    return to_float(x);
  } else if constexpr (std::is_same_v<T, bf16> || std::is_same_v<T, float>) {
    return static_cast<float>(x);
  } else {
    return round_to_odd(static_cast<double>(x));
  }
}

template <class To, class From>
To float_from(From x) {
  if constexpr (std::is_same_v<To, bf16>) {
    return bf16(as_float(x));
  } else if constexpr (std::is_same_v<To, f16>) {
    return to_f16(as_float(x));
  } else {
    return static_cast<To>(as_double(x));
  }
}

template <class From, class To>
bool convert_one(From x, To& y) {
  if constexpr (std::is_same_v<From, Bool8>) {
    return convert_one<int64_t, To>(x.bits != 0, y);
  } else if constexpr (std::is_same_v<To, Bool8>) {
    y.bits = as_double(x) != 0;
    return true;
  } else if constexpr (is_float_type<To>) {
    y = float_from<To>(x);
    return true;
  } else if constexpr (is_float_type<From>) {
    const double d = as_double(x);
    if (!(d >= -9223372036854775808.0 && d < 9223372036854775808.0) || d != std::trunc(d)) return false;
    return convert_one<int64_t, To>(static_cast<int64_t>(d), y);
  } else {
    const int64_t v = static_cast<int64_t>(x);
    y = static_cast<To>(v);
    return v >= static_cast<int64_t>(std::numeric_limits<To>::min()) && v <= static_cast<int64_t>(std::numeric_limits<To>::max());
  }
}

template <class From, class To>
int64_t convert_all(const void* source, void* destination, int64_t n) {
  const auto* in = static_cast<const std::byte*>(source);
  auto* out = static_cast<std::byte*>(destination);
  for (int64_t i = 0; i < n; ++i) {
    From x;
    To y;
    std::memcpy(&x, in + static_cast<size_t>(i) * sizeof(From), sizeof(From));
    if (!convert_one<From, To>(x, y)) return i;
    std::memcpy(out + static_cast<size_t>(i) * sizeof(To), &y, sizeof(To));
  }
  return n;
}

// Calls f with a null pointer of the C++ type of t.
template <class F>
int64_t with_type(DType t, const F& f) {
  switch (t) {
    case DType::f64: return f(static_cast<double*>(nullptr));
    case DType::f32: return f(static_cast<float*>(nullptr));
    case DType::bf16: return f(static_cast<bf16*>(nullptr));
    case DType::f16: return f(static_cast<f16*>(nullptr));
    case DType::i64: return f(static_cast<int64_t*>(nullptr));
    case DType::i32: return f(static_cast<int32_t*>(nullptr));
    case DType::i16: return f(static_cast<int16_t*>(nullptr));
    case DType::i8: return f(static_cast<int8_t*>(nullptr));
    case DType::u8: return f(static_cast<uint8_t*>(nullptr));
    case DType::u16: return f(static_cast<uint16_t*>(nullptr));
    case DType::boolean: return f(static_cast<Bool8*>(nullptr));
  }
  return 0;
}

}  // namespace

bool is_float(DType t) { return t == DType::f64 || t == DType::f32 || t == DType::bf16 || t == DType::f16; }

int64_t convert_elements(DType from, const void* source, DType to, void* destination, int64_t n) {
  if (n == 0) return 0;
  if (from == to) {
    std::memcpy(destination, source, static_cast<size_t>(n) * size_of(from));
    return n;
  }
  return with_type(
      from, [&]<class From>(From*) { return with_type(to, [&]<class To>(To*) { return convert_all<From, To>(source, destination, n); }); });
}

}  // namespace rk
