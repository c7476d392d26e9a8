// Code for several instruction sets in one binary, for operators that are bound by memory: wider vectors have more bytes under way. Which
// one runs is decided where the program runs, whatever processor it was compiled for.
#pragma once
#include <cstdint>

namespace rk::cpu {

enum class Isa : uint8_t { portable, avx2, avx512 };  // portable: what the build as a whole is compiled for
inline constexpr Isa kIsas[] = {Isa::portable, Isa::avx2, Isa::avx512};
constexpr const char* name_of(Isa isa) { return isa == Isa::avx512 ? "avx512" : isa == Isa::avx2 ? "avx2" : "portable"; }

#if defined(__x86_64__)
#ifdef __clang__
#define ROOKERY_PREFER_WIDTH(bits)  // clang has no such word and takes what the set offers
#else
#define ROOKERY_PREFER_WIDTH(bits) ",prefer-vector-width=" #bits
#endif
#define ROOKERY_AVX2 [[gnu::target("avx2,fma" ROOKERY_PREFER_WIDTH(256))]]
#define ROOKERY_AVX512 [[gnu::target("avx512f,avx512bw,avx512dq,avx512vl,fma" ROOKERY_PREFER_WIDTH(512))]]
inline bool has(Isa isa) {
  if (isa == Isa::avx2) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  if (isa == Isa::avx512)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma");
  return true;
}
#else
#define ROOKERY_AVX2
#define ROOKERY_AVX512
inline bool has(Isa isa) { return isa == Isa::portable; }
#endif
inline Isa best_isa() { return has(Isa::avx512) ? Isa::avx512 : has(Isa::avx2) ? Isa::avx2 : Isa::portable; }

namespace detail {
template <class Body, class... Args>
ROOKERY_AVX2 void run_avx2(Args... args) {
  Body::run(args...);
}
template <class Body, class... Args>
ROOKERY_AVX512 void run_avx512(Args... args) {
  Body::run(args...);
}
}  // namespace detail

// Body::run(args...), void and always inline (ROOKERY_INLINE), compiled once for each instruction set. Everything it calls is inline, too.
// Sums and products that could be fused are written with fused(), so that all sets give the same bits.
template <class Body, class... Args>
void run_with(Isa isa, Args... args) {
  if (isa == Isa::avx512) return detail::run_avx512<Body>(args...);
  if (isa == Isa::avx2) return detail::run_avx2<Body>(args...);
  Body::run(args...);
}
#define ROOKERY_INLINE [[gnu::always_inline]] inline

// x * y + z with one rounding.
ROOKERY_INLINE float fused(float x, float y, float z) { return __builtin_fmaf(x, y, z); }
ROOKERY_INLINE double fused(double x, double y, double z) { return __builtin_fma(x, y, z); }

}  // namespace rk::cpu
