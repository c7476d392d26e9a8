// Numbers in kernels: conversion to the float in which everything is computed, wide loads and stores.
#pragma once
#include <cstring>

#include "kernels/common/launch.cuh"

namespace rk::cuda {

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ __forceinline__ float to_float(__half x) { return __half2float(x); }

// Rounds to nearest even.
template <class T>
__device__ __forceinline__ T from_float(float x);
template <>
__device__ __forceinline__ float from_float<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ __nv_bfloat16 from_float<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}
template <>
__device__ __forceinline__ __half from_float<__half>(float x) {
  return __float2half_rn(x);
}

// x as memory of type T would hold it.
template <class T>
__device__ __forceinline__ float rounded(float x) {
  return to_float(from_float<T>(x));
}

// W neighbours of memory, moved at once; aligned to their size (at most 16 bytes).
template <class T, int W>
struct alignas(sizeof(T) * W) Pack {
  T x[W];
};

// The widest run of T that one instruction moves.
template <class T>
inline constexpr int kWide = 16 / static_cast<int>(sizeof(T));

namespace detail {
template <int BYTES>
struct WordOf;
template <>
struct WordOf<16> {
  using type = uint4;
};
template <>
struct WordOf<8> {
  using type = uint2;
};
template <>
struct WordOf<4> {
  using type = uint32_t;
};
template <>
struct WordOf<2> {
  using type = uint16_t;
};
}  // namespace detail

// A pack as one word of memory: as a struct of elements the compiler may move it element by element.
template <int W, class T>
__device__ __forceinline__ Pack<T, W> load_pack(const T* p) {
  using Word = typename detail::WordOf<sizeof(T) * W>::type;
  const Word word = *reinterpret_cast<const Word*>(p);
  Pack<T, W> v;
  memcpy(static_cast<void*>(&v), &word, sizeof v);
  return v;
}
template <int W, class T>
__device__ __forceinline__ void store_pack(T* p, const Pack<T, W>& v) {
  using Word = typename detail::WordOf<sizeof(T) * W>::type;
  Word word;
  memcpy(&word, &v, sizeof v);
  *reinterpret_cast<Word*>(p) = word;
}

// Two neighbours of a 16-bit type in one word: conversions of pairs take half the instructions.
__device__ __forceinline__ void unpack(uint32_t pair, float& low, float& high, const __nv_bfloat16*) {
  low = __uint_as_float(pair << 16);
  high = __uint_as_float(pair & 0xffff0000u);
}
__device__ __forceinline__ void unpack(uint32_t pair, float& low, float& high, const __half*) {
  __half2 v;
  memcpy(static_cast<void*>(&v), &pair, sizeof v);
  low = __low2float(v);
  high = __high2float(v);
}
__device__ __forceinline__ uint32_t pack(float low, float high, const __nv_bfloat16*) {
  const __nv_bfloat162 v = __floats2bfloat162_rn(low, high);
  uint32_t pair;
  memcpy(&pair, &v, sizeof pair);
  return pair;
}
__device__ __forceinline__ uint32_t pack(float low, float high, const __half*) {
  const __half2 v = __floats2half2_rn(low, high);
  uint32_t pair;
  memcpy(&pair, &v, sizeof pair);
  return pair;
}

template <class T, int W>
__device__ __forceinline__ void to_floats(const Pack<T, W>& v, float (&x)[W]) {
  if constexpr (sizeof(T) == 2 && W % 2 == 0) {
    uint32_t pairs[W / 2];
    memcpy(pairs, &v, sizeof v);
#pragma unroll
    for (int i = 0; i < W / 2; ++i) unpack(pairs[i], x[2 * i], x[2 * i + 1], v.x);
  } else {
#pragma unroll
    for (int i = 0; i < W; ++i) x[i] = to_float(v.x[i]);
  }
}
template <class T, int W>
__device__ __forceinline__ Pack<T, W> from_floats(const float (&x)[W]) {
  Pack<T, W> v;
  if constexpr (sizeof(T) == 2 && W % 2 == 0) {
    uint32_t pairs[W / 2];
#pragma unroll
    for (int i = 0; i < W / 2; ++i) pairs[i] = pack(x[2 * i], x[2 * i + 1], v.x);
    memcpy(&v, pairs, sizeof v);
  } else {
#pragma unroll
    for (int i = 0; i < W; ++i) v.x[i] = from_float<T>(x[i]);
  }
  return v;
}

template <int W, class T>
__device__ __forceinline__ void load(const T* p, float (&x)[W]) {
  to_floats(load_pack<W>(p), x);
}
template <int W, class T>
__device__ __forceinline__ void store(T* p, const float (&x)[W]) {
  store_pack(p, from_floats<T>(x));
}

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + __expf(-x)); }

}  // namespace rk::cuda
