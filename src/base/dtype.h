// Element types of tensors and files.
#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace rk {

enum class DType : uint8_t { f64, f32, bf16, f16, i64, i32, i16, i8, u8, u16, boolean };

size_t size_of(DType t);
const char* name_of(DType t);  // "f64", "f32", "bf16", ..., "bool"

// bfloat16 storage: the upper half of a float. Conversion from float rounds to nearest even; NaN stays NaN.
struct bf16 {
  uint16_t bits;
  bf16() = default;
  explicit bf16(float x) {
    uint32_t u = std::bit_cast<uint32_t>(x);
    if ((u & 0x7fffffffu) > 0x7f800000u) {
      bits = static_cast<uint16_t>((u >> 16) | 0x40u);
    } else {
      bits = static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
    }
  }
  explicit operator float() const { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }
  explicit operator double() const { return static_cast<double>(static_cast<float>(*this)); }
};

// IEEE half storage. On the CPU it is read, written and rounded to, not computed with. Both conversions select instead of branching, so
// that loops over them become vector code on any processor.
struct f16 {
  uint16_t bits;
};
[[gnu::always_inline]] inline float to_float(f16 h) {
  const int32_t sign = (h.bits & 0x8000) << 16, magnitude = h.bits & 0x7fff, shifted = magnitude << 13;
  const auto subnormal = std::bit_cast<int32_t>(static_cast<float>(magnitude) * 0x1p-24f);
  const int32_t finite = magnitude < 0x400 ? subnormal : shifted + 0x38000000;
  return std::bit_cast<float>(sign | (magnitude < 0x7c00 ? finite : shifted | 0x7f800000));
}
// Rounds to nearest even; what rounds to 65536 or more is infinite; every NaN is the same one but for its sign.
[[gnu::always_inline]] inline f16 to_f16(float x) {
  const auto u = std::bit_cast<int32_t>(x);
  const int32_t magnitude = u & 0x7fffffff, bounded = magnitude < 0x47800000 ? magnitude : 0x47800000;
  // The last digit of 0.5 is worth 2^-24, like that of a subnormal half: the addition rounds.
  const int32_t subnormal = std::bit_cast<int32_t>(std::bit_cast<float>(bounded) + 0.5f) - 0x3f000000;
  const int32_t normal = (bounded - 0x38000000 + 0xfff + ((bounded >> 13) & 1)) >> 13;
  const int32_t number = bounded < 0x38800000 ? subnormal : normal;
  return {static_cast<uint16_t>(((u >> 16) & 0x8000) | (magnitude > 0x7f800000 ? 0x7e00 : number))};
}

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<bf16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct DTypeOf<f16> {
  static constexpr DType value = DType::f16;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct DTypeOf<int64_t> {
  static constexpr DType value = DType::i64;
};
template <class T>
inline constexpr DType dtype_of = DTypeOf<T>::value;

// The type in which sums, statistics, states and gradients of T are held: double for double, float otherwise.
template <class T>
struct AccOf {
  using type = float;
};
template <>
struct AccOf<double> {
  using type = double;
};
template <class T>
using acc_t = typename AccOf<T>::type;
constexpr DType acc_dtype(DType t) { return t == DType::f64 ? DType::f64 : DType::f32; }

}  // namespace rk
