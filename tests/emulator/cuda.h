// What kernels find instead of CUDA when they are compiled as plain C++ (kernels/common/launch.cuh): the toolkit's own vector and 16-bit
// types, qualifiers that mean nothing, thread indices, and the intrinsics of the dialect. block.h runs them.
#pragma once
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <math.h>

#include <bit>
#include <cstdint>
#include <type_traits>

#include "emulator/block.h"

#undef __global__
#undef __device__
#undef __host__
#undef __shared__
#undef __constant__
#undef __forceinline__
#undef __grid_constant__
#undef __launch_bounds__
#define __global__
#define __device__
#define __host__
#define __shared__ static  // one block runs at a time
#define __constant__
#define __forceinline__ inline
#define __grid_constant__
#define __launch_bounds__(...)

// The running thread's; set whenever another one goes on.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;

namespace rk::cuda {

inline void __syncthreads() { emulator::barrier(0, 0); }
inline int __syncthreads_count(int predicate) { return emulator::barrier(0, 0, predicate != 0); }
inline int __syncthreads_or(int predicate) { return emulator::barrier(0, 0, predicate != 0) > 0; }
inline int __syncthreads_and(int predicate) { return emulator::barrier(0, 0, predicate == 0) == 0; }
inline void __syncwarp(unsigned mask = ~0u) { emulator::sync_warp(mask); }
inline void __threadfence() {}
inline void __threadfence_block() {}

namespace emulator {
template <class T>
T exchange(unsigned mask, T x, int source_lane) {
  static_assert(std::is_trivially_copyable_v<T> && (sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8));
  using Bits = std::conditional_t<sizeof(T) == 2, uint16_t, std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>>;
  return std::bit_cast<T>(static_cast<Bits>(shuffle(mask, std::bit_cast<Bits>(x), source_lane)));
}
}  // namespace emulator

template <class T>
T __shfl_sync(unsigned mask, T x, int lane, int width = 32) {
  const int first = emulator::lane() & ~(width - 1);
  return emulator::exchange(mask, x, first | (lane & (width - 1)));
}
template <class T>
T __shfl_up_sync(unsigned mask, T x, unsigned delta, int width = 32) {
  const int me = emulator::lane(), from = me - static_cast<int>(delta);
  return emulator::exchange(mask, x, from < (me & ~(width - 1)) ? me : from);
}
template <class T>
T __shfl_down_sync(unsigned mask, T x, unsigned delta, int width = 32) {
  const int me = emulator::lane(), from = me + static_cast<int>(delta);
  return emulator::exchange(mask, x, from > (me | (width - 1)) ? me : from);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T x, int bits, int width = 32) {
  const int me = emulator::lane(), from = me ^ bits;
  return emulator::exchange(mask, x, from > (me | (width - 1)) ? me : from);
}

inline unsigned __ballot_sync(unsigned mask, int predicate) { return emulator::ballot(mask, predicate != 0); }
inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }
inline int __all_sync(unsigned mask, int predicate) { return __ballot_sync(mask, !predicate) == 0; }
inline unsigned __activemask() { return 1u << emulator::lane(); }  // what a warp runs together is never promised
inline unsigned __reduce_add_sync(unsigned mask, unsigned x) { return emulator::reduce(mask, x, emulator::Reduction::add); }
inline int __reduce_add_sync(unsigned mask, int x) { return static_cast<int>(__reduce_add_sync(mask, static_cast<unsigned>(x))); }
inline unsigned __reduce_min_sync(unsigned mask, unsigned x) { return emulator::reduce(mask, x, emulator::Reduction::min); }
inline unsigned __reduce_max_sync(unsigned mask, unsigned x) { return emulator::reduce(mask, x, emulator::Reduction::max); }
// Signed numbers are ordered like unsigned ones when the sign bit is turned.
inline int __reduce_min_sync(unsigned mask, int x) {
  return static_cast<int>(__reduce_min_sync(mask, static_cast<unsigned>(x) ^ 0x80000000u) ^ 0x80000000u);
}
inline int __reduce_max_sync(unsigned mask, int x) {
  return static_cast<int>(__reduce_max_sync(mask, static_cast<unsigned>(x) ^ 0x80000000u) ^ 0x80000000u);
}
inline unsigned __reduce_and_sync(unsigned mask, unsigned x) { return emulator::reduce(mask, x, emulator::Reduction::bit_and); }
inline unsigned __reduce_or_sync(unsigned mask, unsigned x) { return emulator::reduce(mask, x, emulator::Reduction::bit_or); }
inline unsigned __reduce_xor_sync(unsigned mask, unsigned x) { return emulator::reduce(mask, x, emulator::Reduction::bit_xor); }

[[noreturn]] inline void __trap() { emulator::stop("a kernel called __trap()"); }
inline long long clock64() { return emulator::clock(); }
inline void __nanosleep(unsigned) { emulator::stop("a kernel waits for another block; the emulator runs one block at a time"); }

// Memory. Cache hints change nothing.
template <class T>
T __ldg(const T* p) {
  return *p;
}
template <class T>
T __ldca(const T* p) {
  return *p;
}
template <class T>
T __ldcg(const T* p) {
  return *p;
}
template <class T>
T __ldcs(const T* p) {
  return *p;
}
template <class T>
T __ldlu(const T* p) {
  return *p;
}
template <class T>
T __ldcv(const T* p) {
  return *p;
}
template <class T>
void __stwb(T* p, T x) {
  *p = x;
}
template <class T>
void __stcg(T* p, T x) {
  *p = x;
}
template <class T>
void __stcs(T* p, T x) {
  *p = x;
}
template <class T>
void __stwt(T* p, T x) {
  *p = x;
}

// Atomics on whole numbers; sums of floating numbers must not depend on an order and have none.
template <class T>
requires std::is_integral_v<T> T atomicAdd(T* p, std::type_identity_t<T> x) {
  const T old = *p;
  *p = static_cast<T>(old + x);
  return old;
}
template <class T>
requires std::is_integral_v<T> T atomicMax(T* p, std::type_identity_t<T> x) {
  const T old = *p;
  *p = old > x ? old : x;
  return old;
}
template <class T>
requires std::is_integral_v<T> T atomicMin(T* p, std::type_identity_t<T> x) {
  const T old = *p;
  *p = old < x ? old : x;
  return old;
}
template <class T>
requires std::is_integral_v<T> T atomicOr(T* p, std::type_identity_t<T> x) {
  const T old = *p;
  *p = old | x;
  return old;
}
template <class T>
requires std::is_integral_v<T> T atomicExch(T* p, std::type_identity_t<T> x) {
  const T old = *p;
  *p = x;
  return old;
}
template <class T>
requires std::is_integral_v<T> T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> x) {
  const T old = *p;
  if (old == expected) *p = x;
  return old;
}

// Numbers. The fast approximations are exact here: a GPU's last bits differ.
template <class A, class B>
requires std::is_arithmetic_v<A> && std::is_arithmetic_v<B> std::common_type_t<A, B> min(A a, B b) {
  using T = std::common_type_t<A, B>;
  const T x = static_cast<T>(a), y = static_cast<T>(b);
  return x != x || y < x ? y : x;  // of NaN and a number the number
}
template <class A, class B>
requires std::is_arithmetic_v<A> && std::is_arithmetic_v<B> std::common_type_t<A, B> max(A a, B b) {
  using T = std::common_type_t<A, B>;
  const T x = static_cast<T>(a), y = static_cast<T>(b);
  return x != x || x < y ? y : x;
}

inline float __expf(float x) { return ::expf(x); }
inline float __exp10f(float x) { return ::powf(10.0f, x); }
inline float __logf(float x) { return ::logf(x); }
inline float __log2f(float x) { return ::log2f(x); }
inline float __powf(float x, float y) { return ::powf(x, y); }
inline float __tanhf(float x) { return ::tanhf(x); }
inline float __sinf(float x) { return ::sinf(x); }
inline float __cosf(float x) { return ::cosf(x); }
inline float __fdividef(float x, float y) { return x / y; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return ::sqrtf(x); }
inline float __frsqrt_rn(float x) { return static_cast<float>(1.0 / ::sqrt(static_cast<double>(x))); }
inline float rsqrtf(float x) { return __frsqrt_rn(x); }
inline double rsqrt(double x) { return 1.0 / ::sqrt(x); }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __fmaf_rn(float x, float y, float z) { return ::fmaf(x, y, z); }
inline double __fma_rn(double x, double y, double z) { return ::fma(x, y, z); }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; }
// Not contracted to a multiply-add: the operands pass through a function that the compiler does not see into.
float __fadd_rn(float x, float y);
float __fsub_rn(float x, float y);
float __fmul_rn(float x, float y);
double __dadd_rn(double x, double y);
double __dsub_rn(double x, double y);
double __dmul_rn(double x, double y);

inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return std::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return std::bit_cast<double>(x); }
inline float __double2float_rn(double x) { return static_cast<float>(x); }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline float __uint2float_rn(unsigned x) { return static_cast<float>(x); }
inline int __float2int_rn(float x) { return static_cast<int>(::nearbyintf(x)); }
inline int __float2int_rd(float x) { return static_cast<int>(::floorf(x)); }
inline int __float2int_rz(float x) { return static_cast<int>(x); }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __popcll(unsigned long long x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline int __ffs(int x) { return x == 0 ? 0 : std::countr_zero(static_cast<unsigned>(x)) + 1; }
inline unsigned __umulhi(unsigned x, unsigned y) { return static_cast<unsigned>((uint64_t{x} * y) >> 32); }
inline unsigned long long __umul64hi(unsigned long long x, unsigned long long y) {
  return static_cast<unsigned long long>((static_cast<unsigned __int128>(x) * y) >> 64);
}

// The toolkit has these on the GPU only.
inline __nv_bfloat16 __hfma(__nv_bfloat16 a, __nv_bfloat16 b, __nv_bfloat16 c) {
  return __float2bfloat16_rn(::fmaf(__bfloat162float(a), __bfloat162float(b), __bfloat162float(c)));
}
inline __half __hfma(__half a, __half b, __half c) { return __float2half_rn(::fmaf(__half2float(a), __half2float(b), __half2float(c))); }
inline __nv_bfloat162 __hfma2(__nv_bfloat162 a, __nv_bfloat162 b, __nv_bfloat162 c) {
  return __halves2bfloat162(__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y));
}
inline __half2 __hfma2(__half2 a, __half2 b, __half2 c) { return __halves2half2(__hfma(a.x, b.x, c.x), __hfma(a.y, b.y, c.y)); }

}  // namespace rk::cuda
