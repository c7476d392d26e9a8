// The chunk-parallel form on a GPU's tensor cores, for models in bf16 or f16 with head size 64: what each chunk of 64 tokens adds to the
// state is found for all chunks at once, a short scan over chunks makes the states before them, then all chunks' outputs are found at once.
// Operands are bf16 pairs (number = high + low, 16 bits), sums f32: no scales, and f32's range.
#pragma once
#include "kernels/wkv6/op.h"

namespace rk::cuda::wkv6 {

inline constexpr int kTokens = 64;             // of a chunk
inline constexpr int kHead = 64;               // channels of a head
inline constexpr int kSquare = kHead * kHead;  // numbers of a state

constexpr int64_t n_chunks(int64_t T) { return (T + kTokens - 1) / kTokens; }
// 16-bit numbers of the states of `chunks` chunks: high and low parts.
constexpr int64_t state_numbers(int64_t chunks) { return 2 * chunks * kSquare; }
// Saved states of sequences [B,T,H,64]: S before every chunk and after the last.
inline int64_t saved_numbers(const Shape& s) { return state_numbers(s[0] * s[2] * (n_chunks(s[1]) + 1)); }

inline bool works_in_chunks(const Exec& ex, DType dtype, int64_t N) {
  return ex.device == Device::cuda && (!ex.gpu || ex.gpu->arch() >= 80) && N == kHead && size_of(dtype) == 2;
}

// saved_states: saved_numbers() of bf16.
void run_chunked(const Exec& ex, const Wkv6Forward& a);
void run_chunked(const Exec& ex, const Wkv6Backward& a);

}  // namespace rk::cuda::wkv6
