// Documents inside a chunk (op.h, resets): pairs of tokens count within one document, the state before the chunk reaches the tokens before
// the chunk's first reset, and the tokens from its last reset on reach the state after it. What does not count is dropped by selects: it
// may be huge. A chunk without resets costs one branch, a kernel that is made without them nothing.
#pragma once
#include "kernels/wkv7/chunk.cuh"

namespace rk::cuda::wkv7 {

template <bool RESETS>
struct Documents;
template <>
struct Documents<false> {
  __device__ __forceinline__ Documents(const Sequences&, int64_t, int) {}
  __device__ __forceinline__ void settle() {}
};
template <>
struct Documents<true> {
  uint32_t begins;  // first of this lane's token, then bit t: a document begins at token t; the same for all threads

  // A load that nothing waits for, until settle() tells all lanes of a warp.
  __device__ __forceinline__ Documents(const Sequences& s, int64_t head, int chunk) {
    const int64_t t = static_cast<int64_t>(chunk) * kTokens + lane_index();
    begins = 0;
    if (t < s.T) begins = s.resets[head / s.H * s.T + t];
  }
  __device__ __forceinline__ void settle() { begins = __ballot_sync(kWholeWarp, begins != 0); }
  __device__ __forceinline__ bool any() const { return begins != 0; }
  // Tokens, as bits, that the state before the chunk reaches; and those that reach the state after it.
  __device__ __forceinline__ uint32_t after_start() const { return (begins & (0u - begins)) - 1u; }
  __device__ __forceinline__ uint32_t before_end() const {
    return any() ? 0xffffffffu << (31 - __clz(static_cast<int>(begins))) : 0xffffffffu;
  }
  // The first token of the document of `token`; -1 where it began before the chunk.
  __device__ __forceinline__ int first_of(int token) const { return 31 - __clz(static_cast<int>(begins & ((2u << token) - 1u))); }
};

// Accumulators of tokens by tokens, 16 x 8 NT from (row, column) on: keeps pairs of one document; those behind the diagonal are dropped
// elsewhere.
template <int NT>
__device__ __forceinline__ void keep_pairs(float (&d)[NT][4], const Documents<true>& documents, int row, int column) {
  const int first[2] = {documents.first_of(row + acc_row(0)), documents.first_of(row + acc_row(2))};
#pragma unroll
  for (int n = 0; n < NT; ++n)
#pragma unroll
    for (int e = 0; e < 4; ++e) d[n][e] = column + acc_column(n, e) >= first[e / 2] ? d[n][e] : 0.0f;
}

// Accumulators whose rows are tokens row ... row + 15: keeps those in `tokens`.
template <int NT>
__device__ __forceinline__ void keep_rows(float (&d)[NT][4], uint32_t tokens, int row) {
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    const bool counts = tokens >> (row + acc_row(e)) & 1u;
#pragma unroll
    for (int n = 0; n < NT; ++n) d[n][e] = counts ? d[n][e] : 0.0f;
  }
}

// The same of an A operand whose rows, or whose columns, are tokens `first` ... + 15.
__device__ __forceinline__ void keep_rows(uint32_t (&a)[4], uint32_t tokens, int first) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const uint32_t counts = 0u - (tokens >> (first + lane_index() / 4 + 8 * half) & 1u);
    a[half] &= counts;
    a[half + 2] &= counts;
  }
}
__device__ __forceinline__ void keep_columns(uint32_t (&a)[4], uint32_t tokens, int first) {
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const uint32_t pair = tokens >> (first + lane_index() % 4 * 2 + 8 * half);
    const uint32_t counts = (pair & 1u ? 0xffffu : 0u) | (pair & 2u ? 0xffff0000u : 0u);
    a[2 * half] &= counts;
    a[2 * half + 1] &= counts;
  }
}

}  // namespace rk::cuda::wkv7
